// Something loaded from the API for a panel: keeps what it had while it loads anew, drops stale answers.
import { reachability } from './reachability.svelte.ts';
import { Problem, SignedOut, Unreachable } from './problem.ts';

/** Bounds of how long a busy server is left alone, in seconds. */
const RETRY_MIN_S = 1;
const RETRY_MAX_S = 60;

type Load<T> = (signal: AbortSignal) => Promise<T>;

export class Resource<T> {
  data = $state.raw<T>();
  error = $state.raw<Error>();
  /** Another question than the shown answer's is under way: what is shown is out of date. */
  stale = $state(false);
  loading = $state(false);

  #running: { key: string; abort: AbortController } | undefined;
  #last: { key: string; load: Load<T> } | undefined;
  /** The running question was asked again: once more when it is answered. */
  #again = false;
  #shownKey: string | undefined;
  #forget: (() => void) | undefined;

  /**
   * Loads; `key` says what is asked. Asking the same again neither dims what is shown nor drops what is
   * under way, for else a slow server that is often asked would never get to answer.
   */
  async load(key: string, load: Load<T>): Promise<void> {
    this.#last = { key, load };
    if (this.#running?.key === key) {
      this.#again = true;
      return;
    }
    this.stop();
    const running = { key, abort: new AbortController() };
    this.#running = running;
    this.loading = true;
    this.stale = key !== this.#shownKey;
    try {
      const data = await load(running.abort.signal);
      if (this.#running === running) this.#show(key, data);
    } catch (error) {
      if (this.#running === running) this.#failed(error as Error);
    }
    if (this.#running !== running) return;
    this.#running = undefined;
    this.loading = false;
    if (this.#again) this.retry();
  }

  retry(): void {
    if (this.#last) void this.load(this.#last.key, this.#last.load);
  }

  /** Ends what is under way; for when its panel goes away or asks something else. */
  stop(): void {
    this.#running?.abort.abort();
    this.#running = undefined;
    this.#again = false;
    this.#forget?.();
    this.#forget = undefined;
  }

  #show(key: string, data: T): void {
    this.data = data;
    this.error = undefined;
    this.#shownKey = key;
    this.stale = false;
  }

  #failed(error: Error): void {
    if (error instanceof SignedOut) return;
    if (error instanceof Unreachable) {
      this.#forget = reachability.whenBack(() => this.retry());
      // An answer that is merely not the newest is better than none; the banner tells why.
      if (this.data !== undefined) return;
    }
    if (error instanceof Problem && (error.status === 429 || error.status === 503)) this.#retryLater(error);
    this.error = error;
  }

  /** The server said when it can: no person need press a button for that. */
  #retryLater({ retryAfter = RETRY_MIN_S }: Problem): void {
    const wait = Math.min(Math.max(retryAfter, RETRY_MIN_S), RETRY_MAX_S) * (1 + Math.random() / 4);
    const timer = setTimeout(() => this.retry(), wait * 1000);
    this.#forget = () => clearTimeout(timer);
  }
}
