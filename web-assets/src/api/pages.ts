// Lists that come a page at a time.
import type { Resource } from './resource.svelte.ts';
import type { Page } from './types.ts';

type List<T> = (signal: AbortSignal | undefined, cursor: string) => Promise<Page<T>>;

/** Puts the next page behind those that are shown, unless others are shown by then. */
export async function appendNext<T>(shown: Resource<Page<T>>, list: List<T>): Promise<void> {
  const page = shown.data;
  if (!page?.next_cursor) return;
  const next = await list(undefined, page.next_cursor);
  if (shown.data !== page) return;
  shown.data = { items: [...page.items, ...next.items], next_cursor: next.next_cursor };
}
