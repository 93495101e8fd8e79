// The overview's questions, and what their answers mean.
import { type Answer, ask, column, numbers, type Question } from '../api/query.ts';
import { type Place, placed, places } from '../charts/series.ts';
import type { Sort } from '../state/address.ts';
import { type Filter, queryFilter } from '../state/filters.ts';
import { isLong, previous, type Range, slices } from '../state/range.ts';

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

/** What is asked of every group to rank it, and what only of those that are shown. */
const RANKING = ['count', 'success_rate', TOTAL];
const PERCENTILES = [P50, P95];

/** The first groups of `field` in that order, and whether there are more. */
export async function top(
  scope: Scope,
  field: string,
  sort: Sort,
  limit: number,
  signal: AbortSignal,
): Promise<{ rows: TopRow[]; more: boolean }> {
  const by = TOP_KEYS[isTopKey(sort.key) ? sort.key : 'runs'];
  const question = { ...about(scope, scope.range), bucket: 'none' as const, group_by: [field] };
  // Over a long range the percentiles of many groups cost ten times what the rest does.
  const apart = isLong(scope.range) && !PERCENTILES.includes(by);
  const metrics = apart ? RANKING : [...RANKING, ...PERCENTILES];
  // One more than shown tells whether there are more.
  const order = { order_by: [{ key: by, desc: sort.desc }], limit: limit + 1 };
  const ranked = await ask({ ...question, ...order, metrics }, signal);
  const words = column(ranked, field).map((cell) => String(cell ?? ''));
  const shown = words.slice(0, limit);
  let measured = ranked;
  if (apart && shown.length > 0) {
    const filters = [...(question.filters ?? []), { field, op: 'in' as const, value: shown }];
    measured = await ask({ ...question, filters, metrics: PERCENTILES, limit }, signal);
  }
  const [runs, success, total] = RANKING.map((metric) => byGroup(ranked, field, metric));
  const [p50, p95] = PERCENTILES.map((metric) => byGroup(measured, field, metric));
  const rows = shown.map((word) => ({
    word: word === '' ? null : word,
    runs: runs?.get(word) ?? 0,
    success: success?.get(word) ?? null,
    p50: p50?.get(word) ?? null,
    p95: p95?.get(word) ?? null,
    total: total?.get(word) ?? null,
  }));
  return { rows, more: words.length > limit };
}

/** A metric of each group, by the group's word. */
function byGroup(answer: Answer, field: string, metric: string): Map<string, number | null> {
  const cells = numbers(answer, metric);
  return new Map(column(answer, field).map((word, n) => [String(word ?? ''), cells[n] ?? null]));
}

/** Whether the tenant has ever reported anything. */
export async function anyAtAll(signal: AbortSignal): Promise<boolean> {
  const answer = await ask({ bucket: 'none', metrics: ['count'] }, signal);
  return (numbers(answer, 'count')[0] ?? 0) > 0;
}
