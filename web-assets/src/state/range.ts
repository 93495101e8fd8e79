// Ranges of time: what was chosen, what it means at an instant, and how it is cut for charts.
import { bucketStart, nextBucket, type Width } from './zones.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export const PRESETS = { '1h': HOUR, '24h': DAY, '7d': 7 * DAY, '30d': 30 * DAY, '90d': 90 * DAY };
export type Preset = keyof typeof PRESETS;

export type RangeChoice = { preset: Preset } | { from: number; to: number };

export const DEFAULT_RANGE: RangeChoice = { preset: '24h' };

export function isPreset(text: string): text is Preset {
  return Object.hasOwn(PRESETS, text);
}

/** A range as it is asked: `[from, to)` in Unix milliseconds. */
export interface Range {
  from: number;
  to: number;
  /** How a chart of it is cut; slices are for ranges too short for the API's smallest bucket. */
  cut: Width | { sliceMs: number };
}

/** How a range of that length is cut, so that a chart has some tens to some hundred places. */
export function cutOf(lengthMs: number): Range['cut'] {
  if (lengthMs <= 2 * MINUTE) return { sliceMs: 10_000 };
  if (lengthMs <= 15 * MINUTE) return { sliceMs: MINUTE };
  if (lengthMs <= 2 * HOUR) return { sliceMs: 5 * MINUTE };
  if (lengthMs <= 6 * HOUR) return { sliceMs: 15 * MINUTE };
  if (lengthMs <= 8 * DAY) return 'hour';
  if (lengthMs <= 120 * DAY) return 'day';
  if (lengthMs <= 3 * 366 * DAY) return 'week';
  return 'month';
}

/** What the choice means at `now`. A preset begins where its first bucket does, so that no bar is a part of one, and ends with the current minute, so that a question keeps its text for that long. */
export function resolve(choice: RangeChoice, now: number, zone: string): Range {
  if ('from' in choice) return { ...choice, cut: cutOf(choice.to - choice.from) };
  const length = PRESETS[choice.preset];
  const cut = cutOf(length);
  const first = now - length;
  const from =
    typeof cut === 'string' ? bucketStart(first, cut, zone) : Math.floor(first / cut.sliceMs) * cut.sliceMs;
  return { from, to: Math.floor(now / MINUTE) * MINUTE + MINUTE, cut };
}

/** Whether a range is of weeks or more, which have many times the runs of those that one looks at all day. */
export function isLong({ cut }: Range): boolean {
  return typeof cut === 'string' && cut !== 'hour';
}

/** The period of the same length before. */
export function previous({ from, to }: Range): { from: number; to: number } {
  return { from: from - (to - from), to: from };
}

/** Where the places of a chart begin, ascending; the first may lie before `from`. */
export function starts({ from, to, cut }: Range, zone: string): number[] {
  const found: number[] = [];
  const step =
    typeof cut === 'string'
      ? (ms: number) => nextBucket(ms, cut, zone)
      : (ms: number) => ms + cut.sliceMs;
  const first =
    typeof cut === 'string' ? bucketStart(from, cut, zone) : Math.floor(from / cut.sliceMs) * cut.sliceMs;
  for (let ms = first; ms < to && found.length < 2000; ms = step(ms)) found.push(ms);
  return found;
}

/** The slices of a range that has no bucket in the API, first and last cut to it. */
export function slices(range: Range): { from: number; to: number }[] {
  if (typeof range.cut === 'string') return [];
  const { sliceMs } = range.cut;
  return starts(range, 'UTC').map((ms) => ({
    from: Math.max(ms, range.from),
    to: Math.min(ms + sliceMs, range.to),
  }));
}

/** Twice as long around the same middle, but not into the future. */
export function zoomedOut({ from, to }: Range, now: number): { from: number; to: number } {
  const half = Math.max(to - from, MINUTE) / 2;
  const end = Math.min(to + half, Math.max(now, to));
  return { from: Math.round(end - 4 * half), to: Math.round(end) };
}

/** What was brushed on a chart, in whole seconds and never empty. */
export function brushed(a: number, b: number): { from: number; to: number } {
  const from = Math.floor(Math.min(a, b) / 1000) * 1000;
  const to = Math.ceil(Math.max(a, b) / 1000) * 1000;
  return { from, to: Math.max(to, from + 10_000) };
}

const SPOKEN: Record<Preset, string> = {
  '1h': 'last hour',
  '24h': 'last 24 hours',
  '7d': 'last 7 days',
  '30d': 'last 30 days',
  '90d': 'last 90 days',
};

export function spokenPreset(preset: Preset): string {
  return SPOKEN[preset];
}

export function cutName(cut: Range['cut']): string {
  if (typeof cut === 'string') return cut;
  return cut.sliceMs < MINUTE ? `${cut.sliceMs / 1000} s` : `${cut.sliceMs / MINUTE} min`;
}
