// Ranges, their cuts and what zooming makes of them.
import { expect, test } from 'vitest';
import { brushed, cutOf, previous, resolve, slices, starts, zoomedOut } from './range.ts';

const NOW = Date.parse('2026-11-26T10:17:42.500Z');
const HOUR = 3_600_000;
const iso = (ms: number) => new Date(ms).toISOString().slice(0, 16);

test('presets begin with a whole bucket and end with this minute', () => {
  for (const [preset, zone, from, cut] of [
    ['1h', 'UTC', '2026-11-26T09:15', { sliceMs: 300_000 }],
    ['24h', 'UTC', '2026-11-25T10:00', 'hour'],
    ['7d', 'Asia/Kolkata', '2026-11-19T09:30', 'hour'],
    ['30d', 'Europe/Berlin', '2026-10-26T23:00', 'day'],
    ['90d', 'UTC', '2026-08-28T00:00', 'day'],
  ] as const) {
    const range = resolve({ preset }, NOW, zone);
    expect([iso(range.from), iso(range.to), range.cut]).toEqual([from, '2026-11-26T10:18', cut]);
    expect(starts(range, zone)[0]).toBe(range.from);
  }
});

test('a chosen range is asked exactly', () => {
  const range = resolve({ from: 1, to: HOUR }, NOW, 'UTC');
  expect([range.from, range.to]).toEqual([1, HOUR]);
  expect(previous(range)).toEqual({ from: 2 - HOUR, to: 1 });
});

test('slices tile the range', () => {
  const range = resolve({ from: 61_000, to: 61_000 + HOUR }, NOW, 'UTC');
  const all = slices(range);
  expect([all[0]?.from, all.at(-1)?.to]).toEqual([range.from, range.to]);
  for (let n = 1; n < all.length; n++) expect(all[n]?.from).toBe(all[n - 1]?.to);
  expect(slices(resolve({ preset: '24h' }, NOW, 'UTC'))).toEqual([]);
});

test('no chart has too few places or too many', () => {
  for (let length = 10_000; length < 20 * 366 * 24 * HOUR; length *= 1.1) {
    const range = { from: NOW - length, to: NOW, cut: cutOf(length) };
    const count = starts(range, 'Europe/Berlin').length;
    expect(count).toBeLessThan(300);
    if (length > 60_000) expect(count).toBeGreaterThan(1);
    if (typeof range.cut !== 'string') expect(count).toBeLessThanOrEqual(26);
  }
});

test('zooming', () => {
  expect(brushed(12_345, 2_100)).toEqual({ from: 2_000, to: 13_000 });
  expect(brushed(5_000, 5_000)).toEqual({ from: 5_000, to: 15_000 });
  const out = zoomedOut({ from: NOW - HOUR, to: NOW, cut: 'hour' }, NOW);
  expect(out).toEqual({ from: NOW - 2 * HOUR, to: NOW });
});
