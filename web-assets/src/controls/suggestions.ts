// What can be typed as a filter's value: the words that the shown range has most of.
import { ask, column } from '../api/query.ts';
import { type Filter, isGroupable, queryFilter } from '../state/filters.ts';
import type { Range } from '../state/range.ts';

const SUGGESTIONS_MAX = 50;

export async function suggestions(
  field: string,
  range: Range,
  filters: readonly Filter[],
  signal: AbortSignal,
): Promise<string[]> {
  if (!isGroupable(field)) return [];
  const answer = await ask(
    {
      from: new Date(range.from).toISOString(),
      to: new Date(range.to).toISOString(),
      bucket: 'none',
      group_by: [field],
      metrics: ['count'],
      filters: filters.filter((filter) => filter.field !== field).map(queryFilter),
      order_by: [{ key: 'count', desc: true }],
      limit: SUGGESTIONS_MAX,
    },
    signal,
  );
  return column(answer, field).filter((cell): cell is string => typeof cell === 'string' && cell !== '');
}
