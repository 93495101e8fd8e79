// The newest runs as they arrive: rows wait while the list is being read, and are then put in at once.
import { listExecutions } from '../api/executions.ts';
import { Resource } from '../api/resource.svelte.ts';
import type { Execution } from '../api/types.ts';
import type { Filter } from '../state/filters.ts';
import { live } from './live.svelte.ts';
import { identity, merge, unseen } from './merge.ts';

/** Rows kept in the list. */
const SHOWN_MAX = 60;
/** Rows that wait; more than the list can show would be for nothing. */
const WAITING_MAX = SHOWN_MAX;
/** Arrivals are shown together, at most this often; less often where many come, so that the list stays readable. */
const BATCH_MS = 400;
const BUSY_BATCH_MS = 2_500;
/** So many arrivals at once are many. */
const BUSY_ROWS = 8;

export class Latest {
  /** The list as it was asked for; `shown` is what has become of it. */
  resource = new Resource<Execution[]>();
  shown = $state.raw<Execution[]>([]);
  waiting = $state.raw<Execution[]>([]);
  /** How many wait; more than are kept, if many arrived. */
  count = $state(0);
  /** Rows that came since the list was opened, to mark them for a moment. */
  fresh = $state.raw<ReadonlySet<string>>(new Set());
  paused = $state(false);

  #arrived: Execution[] = [];
  #more = 0;
  #missed = false;
  #busy = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Asks for the list anew. */
  async load(filters: readonly Filter[]): Promise<void> {
    await this.resource.load(JSON.stringify(filters), async (signal) => {
      const page = await listExecutions({ filters, limit: SHOWN_MAX }, signal);
      this.shown = page.items;
      this.waiting = [];
      this.count = 0;
      this.fresh = new Set();
      return page.items;
    });
  }

  /** Takes what arrives from now on; returns how to end it. */
  start(): () => void {
    const end = live.listen(({ executions, count, truncated }) => {
      this.#arrived.push(...executions);
      if (this.#arrived.length > WAITING_MAX * 4) this.#arrived = merge([], this.#arrived, WAITING_MAX);
      this.#more += Math.max(0, count - executions.length);
      this.#missed ||= truncated === true;
      this.#timer ??= setTimeout(() => this.#take(), this.#busy ? BUSY_BATCH_MS : BATCH_MS);
    });
    return () => {
      end();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.resource.stop();
    };
  }

  #take(): void {
    this.#timer = undefined;
    const arrived = this.#arrived;
    this.#arrived = [];
    this.#busy = arrived.length >= BUSY_ROWS;
    this.count += unseen([...this.shown, ...this.waiting], arrived) + this.#more;
    this.#more = 0;
    this.waiting = merge(this.waiting, arrived, WAITING_MAX);
    if (!this.paused) this.show();
  }

  /** Puts what waits into the list. */
  show(): void {
    if (this.waiting.length === 0 && !this.#missed) return;
    const known = new Set(this.shown.map(identity));
    this.fresh = new Set(this.waiting.map(identity).filter((id) => !known.has(id)));
    this.shown = merge(this.shown, this.waiting, SHOWN_MAX);
    this.waiting = [];
    this.count = 0;
    // An update names its first rows only; the newest are among the others.
    if (this.#missed) this.resource.retry();
    this.#missed = false;
  }
}
