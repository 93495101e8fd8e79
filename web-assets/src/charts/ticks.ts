// Where the marks of a value axis may stand, and what they are called.
import { count, durationBrief } from '../ui/figures.ts';

export interface Ticks {
  /** Distances between marks, ascending. */
  steps: number[];
  /** Marks of a logarithmic axis, ascending. */
  decades: number[];
  name: (value: number) => string;
}

const powers = (from: number, to: number, digits: readonly number[]): number[] => {
  const found: number[] = [];
  for (let n = from; n <= to; n++) for (const digit of digits) found.push(digit * 10 ** n);
  return found;
};

/** Whole numbers of things. */
export const COUNTS: Ticks = {
  steps: powers(0, 12, [1, 2, 5]),
  decades: powers(0, 13, [1]),
  name: count,
};

const S = 1000;
const MIN = 60 * S;
const H = 60 * MIN;
const D = 24 * H;

const UNITS = [
  [D, 'd'],
  [H, 'h'],
  [MIN, 'min'],
] as const;

/** A mark by the largest unit that it is a multiple of, for beside `2 min` one expects `1 min` and not `60 s`. */
function durationMark(ms: number): string {
  const unit = UNITS.find(([size]) => ms >= size && ms % size === 0);
  return unit ? `${ms / unit[0]} ${unit[1]}` : durationBrief(ms);
}

/** Milliseconds, marked at round seconds, minutes, hours and days. */
export const DURATIONS: Ticks = {
  steps: [
    ...powers(-3, 2, [1, 2, 5]),
    ...[1, 2, 5, 10, 20, 30].map((n) => n * S),
    ...[1, 2, 5, 10, 20, 30].map((n) => n * MIN),
    ...[1, 2, 3, 6, 12].map((n) => n * H),
    ...powers(0, 4, [1, 2, 5]).map((n) => n * D),
  ],
  decades: [...powers(-3, 4, [1]), MIN, 10 * MIN, H, 10 * H, ...powers(1, 4, [1]).map((n) => n * D)],
  name: durationMark,
};
