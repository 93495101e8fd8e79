// A list of the API's: its first page, and those behind it as they are asked for.
import { appendNext } from './pages.ts';
import { Resource } from './resource.svelte.ts';
import type { Page } from './types.ts';

type List<T> = (signal?: AbortSignal, cursor?: string) => Promise<Page<T>>;

export class Listed<T> {
  readonly page = new Resource<Page<T>>();
  /** Why the next page did not come. */
  moreError = $state.raw<Error>();

  readonly #list: List<T>;

  constructor(list: List<T>) {
    this.#list = list;
  }

  /** To be called in an effect: loads, and stops where its view goes away. */
  start(): () => void {
    this.reload();
    return () => this.page.stop();
  }

  /** The first page anew; what is shown stays until it is there. */
  reload(): void {
    void this.page.load('list', (signal) => this.#list(signal));
  }

  async more(): Promise<void> {
    this.moreError = undefined;
    try {
      await appendNext(this.page, this.#list);
    } catch (thrown) {
      this.moreError = thrown as Error;
    }
  }
}

/** What is asked for the page behind `cursor`, with as many items as the server finds right. */
export function pageQuery(cursor?: string): string {
  return cursor ? `?cursor=${encodeURIComponent(cursor)}` : '';
}
