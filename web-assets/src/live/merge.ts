// Newest first: rows that arrive put among those that are shown.
import type { Execution } from '../api/types.ts';

/** What tells one execution from another: its place in the feed, or the caller's id and time. */
export function identity(execution: Execution): string {
  return `${execution.id}\n${execution.ts}`;
}

function newerFirst(a: Execution, b: Execution): number {
  return Date.parse(b.ts) - Date.parse(a.ts) || (b.seq ?? 0) - (a.seq ?? 0);
}

/** The newest `max` of both, each once; the later version of a row takes the earlier one's place. */
export function merge(shown: readonly Execution[], arrived: readonly Execution[], max: number): Execution[] {
  const all = new Map<string, Execution>();
  for (const execution of shown) all.set(identity(execution), execution);
  for (const execution of arrived) all.set(identity(execution), execution);
  return [...all.values()].sort(newerFirst).slice(0, max);
}

/** How many of `arrived` are not in `shown` yet. */
export function unseen(shown: readonly Execution[], arrived: readonly Execution[]): number {
  const known = new Set(shown.map(identity));
  return new Set(arrived.map(identity).filter((id) => !known.has(id))).size;
}
