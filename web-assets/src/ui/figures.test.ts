// Numbers as people read them.
import { expect, test } from 'vitest';
import { change, count, duration, durationBrief, exact, percent, points } from './figures.ts';

test('counts', () => {
  for (const [value, wanted] of [
    [0, '0'],
    [987, '987'],
    [1000, '1k'],
    [12_345, '12.3k'],
    [999_499, '999k'],
    [999_950, '1M'],
    [4_560_000, '4.56M'],
    [2.345_6, '2.35'],
    [null, '–'],
  ] as const) {
    expect(count(value)).toBe(wanted);
  }
  expect(exact(1_234_567)).toBe('1,234,567');
});

test('durations', () => {
  for (const [ms, wanted] of [
    [0, '0 ms'],
    [0.4, '0.4 ms'],
    [3.14, '3.1 ms'],
    [12.4, '12 ms'],
    [999, '999 ms'],
    [999.7, '1.0 s'],
    [1_234, '1.2 s'],
    [12_340, '12.3 s'],
    [60_000, '1 min'],
    [184_000, '3 min 4 s'],
    [3_599_900, '1 h'],
    [7_500_000, '2 h 5 min'],
    [273_600_000, '3 d 4 h'],
    [86_399_000, '1 d'],
    [undefined, '–'],
  ] as const) {
    expect(duration(ms)).toBe(wanted);
  }
});

test('shares never round to what they are not', () => {
  for (const [ratio, wanted] of [
    [1, '100 %'],
    [0, '0 %'],
    [0.98765, '98.8 %'],
    [0.99999, '99.99 %'],
    [0.00001, '0.01 %'],
    [0.9994, '99.9 %'],
    [null, '–'],
  ] as const) {
    expect(percent(ratio)).toBe(wanted);
  }
});

test('changes', () => {
  expect(change(110, 100)).toEqual({ sign: 1, text: '+10 %' });
  expect(change(98.8, 100)).toEqual({ sign: -1, text: '−1.2 %' });
  expect(change(100, 100)).toEqual({ sign: 0, text: '±0 %' });
  expect(change(5_000, 100)).toEqual({ sign: 1, text: '×50' });
  expect(change(5, 0)).toBeUndefined();
  expect(points(0.93, 0.95)).toEqual({ sign: -1, text: '−2.0 pp' });
  expect(points(0.93, null)).toBeUndefined();
});

test('durations in one unit', () => {
  for (const [ms, wanted] of [
    [1_234, '1.2 s'],
    [60_000, '60 s'],
    [90_000, '1.5 min'],
    [3_600_000, '60 min'],
    [7_500_000, '2.1 h'],
    [273_600_000, '3.2 d'],
    [86_400_000 * 1200, '1,200 d'],
    [null, '–'],
  ] as const) {
    expect(durationBrief(ms)).toBe(wanted);
  }
});
