// Something loaded from the API for a panel: keeps what it had while it loads anew, drops stale answers.
import { reachability } from './reachability.svelte.ts';
import { SignedOut, Unreachable } from './problem.ts';

export class Resource<T> {
  data = $state.raw<T>();
  error = $state.raw<Error>();
  /** Another question than the shown answer's is under way: what is shown is out of date. */
  stale = $state(false);
  loading = $state(false);

  #running: AbortController | undefined;
  #last: { key: string; load: (signal: AbortSignal) => Promise<T> } | undefined;
  #shownKey: string | undefined;
  #forget: (() => void) | undefined;

  /** Loads; `key` says what is asked, so that asking the same again does not dim what is shown. */
  async load(key: string, load: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#running?.abort();
    this.#forget?.();
    const running = new AbortController();
    this.#running = running;
    this.#last = { key, load };
    this.loading = true;
    this.stale = key !== this.#shownKey;
    try {
      const data = await load(running.signal);
      if (this.#running !== running) return;
      this.data = data;
      this.error = undefined;
      this.#shownKey = key;
      this.stale = false;
    } catch (error) {
      if (this.#running !== running || running.signal.aborted || error instanceof SignedOut) return;
      if (error instanceof Unreachable) this.#forget = reachability.whenBack(() => this.retry());
      // An answer that is merely not the newest is better than none; the banner tells why.
      if (!(error instanceof Unreachable && this.data !== undefined)) this.error = error as Error;
    } finally {
      if (this.#running === running) this.loading = false;
    }
  }

  retry(): void {
    if (this.#last) void this.load(this.#last.key, this.#last.load);
  }

  /** Ends what is under way; for when its panel goes away. */
  stop(): void {
    this.#running?.abort();
    this.#forget?.();
  }
}
