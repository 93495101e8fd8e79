// Raw executions: pages of them, and one by its id.
import { type Filter, formatFilter, queryFilter } from '../state/filters.ts';
import { request } from './client.ts';
import type { Execution, Page } from './types.ts';

export interface RowsQuestion {
  from?: number | undefined;
  to?: number | undefined;
  filters: readonly Filter[];
  limit: number;
  cursor?: string | undefined;
}

export function listExecutions(question: RowsQuestion, signal?: AbortSignal): Promise<Page<Execution>> {
  return request(`/executions?${rowsParams(question)}`, { signal });
}

export function rowsParams({ from, to, filters, limit, cursor }: RowsQuestion): string {
  const params = new URLSearchParams();
  if (from !== undefined) params.set('from', new Date(from).toISOString());
  if (to !== undefined) params.set('to', new Date(to).toISOString());
  for (const filter of filters) params.append('filter', filterParam(filter));
  params.set('limit', String(limit));
  if (cursor) params.set('cursor', cursor);
  return params.toString();
}

/** `field:op:value`, or JSON where signs or commas in it would be read as something else. */
export function filterParam(filter: Filter): string {
  const plain = /^[\w.-]+$/.test(filter.field) && /^[\w ./@-]*$/.test(filter.value);
  return plain ? formatFilter(filter) : JSON.stringify(queryFilter(filter));
}

export function readExecution(id: string, ts: string | undefined, signal?: AbortSignal): Promise<Execution> {
  const query = ts === undefined ? '' : `?ts=${encodeURIComponent(ts)}`;
  return request(`/executions/${encodeURIComponent(id)}${query}`, { signal });
}
