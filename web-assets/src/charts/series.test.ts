// Places of a chart, and what stands at them.
import { expect, test } from 'vitest';
import { path, placed, places, thinned } from './series.ts';

const DAY = 86_400_000;

test('places follow the buckets, whole to the last one', () => {
  const at = places({ from: 0, to: 2 * DAY + 1, cut: 'day' }, 'UTC');
  expect(at).toEqual([
    { from: 0, to: DAY },
    { from: DAY, to: 2 * DAY },
    { from: 2 * DAY, to: 3 * DAY },
  ]);
  expect(places({ from: 0, to: 60_000, cut: { sliceMs: 30_000 } }, 'UTC')).toHaveLength(2);
});

test('cells stand where their bucket begins', () => {
  const at = places({ from: 0, to: 3 * DAY, cut: 'day' }, 'UTC');
  expect(placed(at, [DAY], [7], 0)).toEqual([0, 7, 0]);
  expect(placed(at, [0, DAY], [null, 2], null)).toEqual([null, 2, null]);
});

test('a path has gaps where nothing is known', () => {
  expect(path([0, 1, null, 1, 0], 40, 10)).toBe('M0.0 10.0L10.0 0.0M30.0 0.0L40.0 10.0');
  expect(path([5, 5], 10, 10)).toBe('M0.0 5.0L10.0 5.0');
  expect(path([null, 1], 10, 10)).toBe('');
});

test('thinning keeps the course and the gaps', () => {
  expect(thinned([1, 3, null, null, 5], 3)).toEqual([2, null, 5]);
  expect(thinned([1, null], 9)).toEqual([1, null]);
});
