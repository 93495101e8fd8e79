// Asking: the API's question and answer, and rows of the answer by column name.
import type { QueryFilter } from '../state/filters.ts';
import { request } from './client.ts';

export interface Question {
  from?: string;
  to?: string;
  bucket?: 'hour' | 'day' | 'week' | 'month' | 'none';
  time_zone?: string;
  group_by?: string[];
  metrics: string[];
  filters?: QueryFilter[];
  order_by?: { key: string; desc: boolean }[];
  limit?: number;
  fill?: 'none' | 'zero' | 'null';
}

export type Cell = string | number | null;

export interface Answer {
  columns: { name: string; type: string; unit: string | null }[];
  rows: Cell[][];
  truncated: boolean;
  as_of_seq: number;
}

export function ask(question: Question, signal?: AbortSignal): Promise<Answer> {
  return request<Answer>('/query', { method: 'POST', body: question, signal });
}

/** The cells of a column from top to bottom; empty where there is no such column. */
export function column(answer: Answer, name: string): Cell[] {
  const at = answer.columns.findIndex((found) => found.name === name);
  return at < 0 ? [] : answer.rows.map((row) => row[at] ?? null);
}

/** A column of numbers, `null` where there is none. */
export function numbers(answer: Answer, name: string): (number | null)[] {
  return column(answer, name).map((cell) => (typeof cell === 'number' ? cell : null));
}
