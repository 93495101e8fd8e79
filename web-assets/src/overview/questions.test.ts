// The top tables ask for no percentile that they do not show.
import { beforeEach, expect, test, vi } from 'vitest';
import type { Cell, Question } from '../api/query.ts';
import { top } from './questions.ts';

const asked: Question[] = [];
vi.mock('../api/query.ts', async (original) => ({
  ...(await original<typeof import('../api/query.ts')>()),
  ask: (question: Question) => {
    asked.push(question);
    return Promise.resolve(answer(question));
  },
}));
beforeEach(() => void (asked.length = 0));

/** Three groups, of which one has no word, as they come when they are not ordered. */
const GROUPS: Record<string, Record<string, number>> = {
  '': { count: 2, 'p50(duration_ms)': 20, 'p95(duration_ms)': 25, 'sum(duration_ms)': 40, success_rate: 1 },
  ada: { count: 3, 'p50(duration_ms)': 30, 'p95(duration_ms)': 35, 'sum(duration_ms)': 90, success_rate: 0.5 },
  bob: { count: 1, 'p50(duration_ms)': 10, 'p95(duration_ms)': 15, 'sum(duration_ms)': 10, success_rate: 0 },
};

function answer({ metrics, order_by, filters = [], limit = 1000 }: Question) {
  const words = filters.find(({ op }) => op === 'in')?.value as string[] | undefined;
  const key = order_by?.[0]?.key;
  const found = Object.entries(GROUPS).filter(([word]) => words?.includes(word) ?? true);
  if (key) found.sort(([, a], [, b]) => (b[key] ?? 0) - (a[key] ?? 0));
  const rows = found.slice(0, limit).map(([word, cells]): Cell[] => [word, ...metrics.map((name) => cells[name] ?? null)]);
  const columns = ['user_id', ...metrics].map((name) => ({ name, type: '', unit: null }));
  return { columns, rows, truncated: false, as_of_seq: 1 };
}

const DAY = 86_400_000;
const ask = (key: string, days: number, cut: 'hour' | 'day') =>
  top({ range: { from: 0, to: days * DAY, cut }, zone: 'UTC', filters: [] }, 'user_id', { key, desc: true }, 2, AbortSignal.timeout(1000));

const WANTED = {
  rows: [
    { word: 'ada', runs: 3, success: 0.5, p50: 30, p95: 35, total: 90 },
    { word: null, runs: 2, success: 1, p50: 20, p95: 25, total: 40 },
  ],
  more: true,
};

test('a long range is asked for the percentiles of what it shows', async () => {
  expect(await ask('runs', 90, 'day')).toEqual(WANTED);
  expect(asked.map(({ metrics }) => metrics.filter((name) => name.startsWith('p')).length)).toEqual([0, 2]);
  expect(asked[1]?.filters).toEqual([{ field: 'user_id', op: 'in', value: ['ada', ''] }]);
});

test('one question does where the range is short or the order needs every percentile', async () => {
  expect(await ask('runs', 7, 'hour')).toEqual(WANTED);
  expect(await ask('p95', 90, 'day')).toEqual(WANTED);
  expect(asked).toHaveLength(2);
});
