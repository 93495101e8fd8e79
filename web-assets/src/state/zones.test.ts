// Local times and instants, where zones are awkward.
import { expect, test } from 'vitest';
import { allZones, bucketStart, fromLocalField, isZone, nextBucket, offsetName, toLocalField } from './zones.ts';

const at = (text: string) => Date.parse(text);
const iso = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());

test('local fields go there and back', () => {
  for (const [text, zone, wanted] of [
    ['2026-03-01T00:00', 'Europe/Berlin', '2026-02-28T23:00:00.000Z'],
    ['2026-07-01T12:30', 'Asia/Kolkata', '2026-07-01T07:00:00.000Z'],
    ['2026-10-25T02:30', 'Europe/Berlin', '2026-10-25T00:30:00.000Z'], // twice: the earlier one
    ['2026-01-01T00:00', 'UTC', '2026-01-01T00:00:00.000Z'],
  ] as const) {
    const ms = fromLocalField(text, zone);
    expect(iso(ms)).toBe(wanted);
    expect(toLocalField(ms!, zone)).toBe(text);
  }
  // Never shown: as far behind the gap.
  expect(iso(fromLocalField('2026-03-29T02:30', 'Europe/Berlin'))).toBe('2026-03-29T01:30:00.000Z');
  expect(fromLocalField('soon', 'UTC')).toBeUndefined();
});

test('buckets begin as the server has them', () => {
  for (const [now, width, zone, start, next] of [
    ['2026-03-29T10:20:30.123Z', 'day', 'Europe/Berlin', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
    ['2026-03-29T10:20:30Z', 'week', 'Europe/Berlin', '2026-03-22T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
    ['2026-03-29T10:20:30Z', 'month', 'UTC', '2026-03-01T00:00:00.000Z', '2026-04-01T00:00:00.000Z'],
    ['2026-12-31T23:30:00Z', 'month', 'Europe/Berlin', '2026-12-31T23:00:00.000Z', '2027-01-31T23:00:00.000Z'],
    ['2026-07-01T10:20:30Z', 'hour', 'Asia/Kolkata', '2026-07-01T09:30:00.000Z', '2026-07-01T10:30:00.000Z'],
    ['2026-09-06T12:00:00Z', 'day', 'America/Santiago', '2026-09-06T04:00:00.000Z', '2026-09-07T03:00:00.000Z'],
  ] as const) {
    expect(iso(bucketStart(at(now), width, zone))).toBe(start);
    expect(iso(nextBucket(at(now), width, zone))).toBe(next);
  }
});

test('offsets have names', () => {
  const now = at('2026-07-01T00:00:00Z');
  expect(offsetName(now, 'UTC')).toBe('UTC');
  expect(offsetName(now, 'Europe/Berlin')).toBe('UTC+2');
  expect(offsetName(now, 'America/St_Johns')).toBe('UTC−2:30');
  expect(isZone('Mars/Olympus')).toBe(false);
});

test('zones are offered under the names in use', () => {
  const zones = allZones();
  for (const name of ['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Europe/Kyiv']) expect(zones).toContain(name);
  expect(new Set(zones).size).toBe(zones.length);
});
