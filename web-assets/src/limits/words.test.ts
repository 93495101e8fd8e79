// Limits are written as people write them, and sent as the server takes them.
import { expect, test } from 'vitest';
import { LIMITS, type Limits } from '../api/limits.ts';
import { bytes, fullness, overridesOf, shownLimit, textsOf } from './words.ts';

const limits: Limits = {
  requests_per_second: 0,
  events_per_second: 5000,
  concurrent_requests: 1000,
  websocket_connections: 10_000,
  query_time_ms: 1500,
  query_memory_bytes: 256 * 2 ** 20,
  cpu_share: 0.29,
  storage_bytes: 0,
  overridden: ['events_per_second', 'query_time_ms', 'query_memory_bytes', 'cpu_share', 'storage_bytes'],
};

test('what is written is what was set, and comes back as it was', () => {
  const texts = textsOf(limits);
  expect(texts).toMatchObject({ requests_per_second: '', query_time_ms: '1.5', query_memory_bytes: '256', cpu_share: '29' });
  expect(overridesOf(texts)).toEqual({
    events_per_second: 5000,
    query_time_ms: 1500,
    query_memory_bytes: 256 * 2 ** 20,
    cpu_share: 0.29,
    storage_bytes: 0,
  });
  expect(overridesOf({ ...texts, query_time_ms: ' 2,5 ' }).query_time_ms).toBe(2500);
});

test('every limit has words, and 0 is no bound only where it can be', () => {
  expect(LIMITS.map((limit) => shownLimit(limit, limits[limit]))).toEqual([
    'no bound',
    '5,000/s',
    '1,000',
    '10,000',
    '1.5 s',
    '256 MiB',
    '29 %',
    'no bound',
  ]);
  expect(shownLimit('concurrent_requests', 0)).toBe('0');
});

test('how full it is', () => {
  expect(fullness('concurrent_requests', 250, 1000)).toBe(0.25);
  expect(fullness('storage_bytes', 5, 0)).toBeUndefined();
  expect(fullness('query_time_ms', null, 30_000)).toBeUndefined();
  expect(fullness('websocket_connections', 12, 10)).toBe(1);
});

test('bytes', () => {
  expect([0, 1023, 1536, 2 ** 20, 1.5 * 2 ** 30].map(bytes)).toEqual(['0 B', '1020 B', '1.5 KiB', '1 MiB', '1.5 GiB']);
});
