// A chart over time as data: places on its axis, and a line or a bar of numbers for each series.
import { type Range, starts } from '../state/range.ts';
import { nextBucket } from '../state/zones.ts';

/** A place on the time axis: a bucket or a slice. */
export interface Place {
  from: number;
  to: number;
}

export interface Series {
  name: string;
  /** The CSS property that has its colour. */
  ink: string;
  kind: 'bars' | 'line';
  dash?: number[];
  width?: number;
  values: (number | null)[];
}

/** The places of a range, and those that only the answer knows. */
export function places(range: Range, zone: string, answered: readonly number[] = []): Place[] {
  const { cut } = range;
  const all = [...new Set([...starts(range, zone), ...answered])].sort((a, b) => a - b);
  return all.map((from, n) => ({
    from,
    to: all[n + 1] ?? (typeof cut === 'string' ? nextBucket(from, cut, zone) : from + cut.sliceMs),
  }));
}

/** Puts cells at the places where their buckets begin; `otherwise` stands everywhere else. */
export function placed(
  at: readonly Place[],
  buckets: readonly number[],
  cells: readonly (number | null)[],
  otherwise: number | null,
): (number | null)[] {
  const byStart = new Map(buckets.map((start, n) => [start, cells[n] ?? null]));
  return at.map(({ from }) => byStart.get(from) ?? otherwise);
}

/** At most `max` values: means of neighbours, for where only the course is shown. */
export function thinned(values: readonly (number | null)[], max: number): (number | null)[] {
  const group = Math.ceil(values.length / max);
  if (group <= 1) return [...values];
  const means: (number | null)[] = [];
  for (let n = 0; n < values.length; n += group) {
    const known = values.slice(n, n + group).filter((value): value is number => value !== null);
    means.push(known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null);
  }
  return means;
}

/** Where a path through `values` goes in a box of that size; gaps stay gaps. */
export function path(values: readonly (number | null)[], width: number, height: number): string {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return '';
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const step = width / (values.length - 1);
  let open = false;
  let d = '';
  for (const [n, value] of values.entries()) {
    if (value === null) {
      open = false;
      continue;
    }
    const y = high === low ? height / 2 : height - ((value - low) / (high - low)) * height;
    d += `${open ? 'L' : 'M'}${(n * step).toFixed(1)} ${y.toFixed(1)}`;
    open = true;
  }
  return d;
}
