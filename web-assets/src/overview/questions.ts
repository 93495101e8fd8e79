// The overview's questions, and what their answers mean.
import { type Answer, ask, type Cell, column, numbers, type Question } from '../api/query.ts';
import { type Place, placed, places } from '../charts/series.ts';
import type { Sort } from '../state/address.ts';
import { type Filter, queryFilter } from '../state/filters.ts';
import { previous, type Range, slices } from '../state/range.ts';

/** What everything here is about. */
export interface Scope {
  range: Range;
  zone: string;
  filters: readonly Filter[];
}

const P50 = 'p50(duration_ms)';
const P95 = 'p95(duration_ms)';
const P99 = 'p99(duration_ms)';
const TOTAL = 'sum(duration_ms)';
const USERS = 'count_distinct(user_id)';

function about({ zone, filters }: Scope, { from, to }: { from: number; to: number }): Omit<Question, 'metrics'> {
  return {
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    time_zone: zone,
    filters: filters.map(queryFilter),
  };
}

/** The figures of a period. */
export interface Totals {
  runs: number;
  successRate: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  users: number;
}

/** The shown period and the one of the same length before. */
export interface Periods {
  now: Totals;
  before: Totals;
}

function readTotals(answer: Answer): Totals {
  const first = (name: string) => numbers(answer, name)[0] ?? null;
  return {
    runs: first('count') ?? 0,
    successRate: first('success_rate'),
    p50: first(P50),
    p95: first(P95),
    p99: first(P99),
    users: first(USERS) ?? 0,
  };
}

/** The period's figures and those of the period before. */
export async function totals(scope: Scope, signal: AbortSignal): Promise<Periods> {
  const one = async (period: { from: number; to: number }) => {
    const metrics = ['count', 'success_rate', P50, P95, P99, USERS];
    return readTotals(await ask({ ...about(scope, period), bucket: 'none', metrics }, signal));
  };
  const [now, before] = await Promise.all([one(scope.range), one(previous(scope.range))]);
  return { now, before };
}

/** The range over time, in the order of its places. */
export interface Course {
  /** The cut it was asked with, which names its places. */
  cut: Range['cut'];
  zone: string;
  at: Place[];
  runs: (number | null)[];
  failures: (number | null)[];
  successRate: (number | null)[];
  users: (number | null)[];
  p50: (number | null)[];
  p95: (number | null)[];
  p99: (number | null)[];
}

export async function course(scope: Scope, signal: AbortSignal): Promise<Course> {
  const { range, zone } = scope;
  const metrics = ['count', 'failure_count', 'success_rate', USERS, P50, P95, P99];
  const { cut } = range;
  let buckets: number[];
  let cells: (name: string) => (number | null)[];
  if (typeof cut === 'string') {
    const answer = await ask({ ...about(scope, range), bucket: cut, metrics, fill: 'null' }, signal);
    buckets = column(answer, 'bucket').map((cell) => Date.parse(String(cell)));
    cells = (name) => numbers(answer, name);
  } else {
    // The API has no bucket below an hour: each slice is asked by itself.
    const parts = slices(range);
    const answers = await Promise.all(
      parts.map((part) => ask({ ...about(scope, part), bucket: 'none', metrics }, signal)),
    );
    buckets = parts.map(({ from }) => Math.floor(from / cut.sliceMs) * cut.sliceMs);
    cells = (name) => answers.map((answer) => numbers(answer, name)[0] ?? null);
  }
  const at = places(range, zone, buckets);
  const zeroes = (name: string) => placed(at, buckets, cells(name), 0).map((value) => value ?? 0);
  const gaps = (name: string) => placed(at, buckets, cells(name), null);
  return {
    cut,
    zone,
    at,
    runs: zeroes('count'),
    failures: zeroes('failure_count'),
    successRate: gaps('success_rate'),
    users: zeroes(USERS),
    p50: gaps(P50),
    p95: gaps(P95),
    p99: gaps(P99),
  };
}

/** The columns of a top table that it can be sorted by, as the address names them. */
export const TOP_KEYS = { runs: 'count', success: 'success_rate', p50: P50, p95: P95, total: TOTAL } as const;
export type TopKey = keyof typeof TOP_KEYS;
export const TOP_SORT: Sort = { key: 'runs', desc: true };

export function isTopKey(key: string): key is TopKey {
  return Object.hasOwn(TOP_KEYS, key);
}

export interface TopRow {
  /** The group's word; `null` for the runs that have none. */
  word: string | null;
  runs: number;
  success: number | null;
  p50: number | null;
  p95: number | null;
  total: number | null;
}

/** The first groups of `field` in that order, and whether there are more. */
export async function top(
  scope: Scope,
  field: string,
  sort: Sort,
  limit: number,
  signal: AbortSignal,
): Promise<{ rows: TopRow[]; more: boolean }> {
  const key = isTopKey(sort.key) ? sort.key : 'runs';
  const answer = await ask(
    {
      ...about(scope, scope.range),
      bucket: 'none',
      group_by: [field],
      metrics: Object.values(TOP_KEYS),
      order_by: [{ key: TOP_KEYS[key], desc: sort.desc }],
      // One more than shown tells whether there are more.
      limit: limit + 1,
    },
    signal,
  );
  const words: Cell[] = column(answer, field);
  const found = Object.fromEntries(
    Object.entries(TOP_KEYS).map(([name, metric]) => [name, numbers(answer, metric)]),
  ) as Record<TopKey, (number | null)[]>;
  const rows = words.map((word, n) => ({
    word: typeof word === 'string' && word !== '' ? word : null,
    runs: found.runs[n] ?? 0,
    success: found.success[n] ?? null,
    p50: found.p50[n] ?? null,
    p95: found.p95[n] ?? null,
    total: found.total[n] ?? null,
  }));
  return { rows: rows.slice(0, limit), more: rows.length > limit };
}

/** Whether the tenant has ever reported anything. */
export async function anyAtAll(signal: AbortSignal): Promise<boolean> {
  const answer = await ask({ bucket: 'none', metrics: ['count'] }, signal);
  return (numbers(answer, 'count')[0] ?? 0) > 0;
}
