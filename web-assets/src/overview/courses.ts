// What is drawn of the course over time: its series, and what they say of the whole range.
import type { Series } from '../charts/series.ts';
import { COUNTS, DURATIONS, type Ticks } from '../charts/ticks.ts';
import { nothingRan } from '../state/nothing.svelte.ts';
import { cutName, type Range } from '../state/range.ts';
import { count, duration, exact } from '../ui/figures.ts';
import type { Course, Periods } from './questions.ts';

export interface Drawn {
  title: (cut: Range['cut']) => string;
  label: string;
  series: (course: Course) => Series[];
  /** A figure of the whole range for each series. */
  whole: (course: Course, totals: Periods | undefined) => (number | null)[];
  ticks: Ticks;
  format: (value: number | null) => string;
  exactly: (value: number | null) => string;
  /** Whether its values differ so much that a logarithm is worth offering. */
  wide: boolean;
  /** What to say where there is nothing to draw. */
  nothing: (course: Course) => string | undefined;
}

const sum = (values: readonly (number | null)[]) => values.reduce<number>((total, value) => total + (value ?? 0), 0);
const isStill = ({ runs }: Course) => runs.every((value) => !value);

/** Runs and failures. */
export const RUNS: Drawn = {
  title: (cut) => `Runs per ${cutName(cut)}`,
  label: 'Runs and failures over time',
  series: ({ runs, failures }) => [
    { name: 'runs', ink: '--plot-runs', kind: 'bars', values: runs },
    { name: 'of these failed', ink: '--plot-failures', kind: 'bars', values: failures },
  ],
  whole: ({ runs, failures }) => [sum(runs), sum(failures)],
  ticks: COUNTS,
  format: count,
  exactly: exact,
  wide: false,
  nothing: (course) => (isStill(course) ? nothingRan() : undefined),
};

/** Percentiles of the duration. */
export const DURATION: Drawn = {
  title: () => 'Duration',
  label: 'Percentiles of the duration over time',
  series: ({ p50, p95, p99 }) => [
    { name: 'p50', ink: '--plot-p50', kind: 'line', values: p50 },
    { name: 'p95', ink: '--plot-p95', kind: 'line', width: 2, values: p95 },
    { name: 'p99', ink: '--plot-p99', kind: 'line', dash: [4, 3], values: p99 },
  ],
  whole: (_, totals) => [totals?.now.p50 ?? null, totals?.now.p95 ?? null, totals?.now.p99 ?? null],
  ticks: DURATIONS,
  format: duration,
  exactly: (value) => (value === null ? 'none' : `${exact(value)} ms`),
  wide: true,
  nothing: (course) => {
    if (course.p50.some((value) => value !== null)) return undefined;
    if (isStill(course)) return nothingRan();
    return 'No run of this range says how long it took. Report duration_ms with them to see it here.';
  },
};
