// Whether the server answers; while it does not, asks it again until it does.

const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 15_000;

class Reachability {
  down = $state(false);

  #wait = FIRST_WAIT_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting = new Set<() => void>();

  /** A request got no answer. */
  lost(): void {
    if (this.down) return;
    this.down = true;
    this.#wait = FIRST_WAIT_MS;
    this.#later();
  }

  /** A request was answered, whatever the answer. */
  found(): void {
    if (!this.down) return;
    this.down = false;
    clearTimeout(this.#timer);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const run of waiting) run();
  }

  /** Runs once when the server answers again; returns how to forget it. */
  whenBack(run: () => void): () => void {
    if (this.down) this.#waiting.add(run);
    else queueMicrotask(run);
    return () => this.#waiting.delete(run);
  }

  /** Asks at once. */
  async probe(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(5_000) });
      this.found();
    } catch {
      this.#later();
    }
  }

  #later(): void {
    clearTimeout(this.#timer);
    // The jitter keeps many open pages from returning in the same instant.
    this.#timer = setTimeout(() => void this.probe(), this.#wait * (0.75 + Math.random() / 2));
    this.#wait = Math.min(this.#wait * 2, LAST_WAIT_MS);
  }
}

export const reachability = new Reachability();

if (typeof window !== 'undefined') {
  window.addEventListener('online', () => reachability.down && void reachability.probe());
}
