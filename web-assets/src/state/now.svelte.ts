// What the page takes for now: moves on when something happened and once a minute, never between.
import { session } from '../api/session.svelte.ts';
import { resolve, type Range } from './range.ts';
import { route, zoneOf } from './route.svelte.ts';

const IDLE_MS = 60_000;

class Now {
  ms = $state(Date.now());
  /** Grows when what is stored may have changed, so that whoever shows it loads anew. */
  tick = $state(0);

  /** Something happened. */
  advance(): void {
    this.ms = Date.now();
    this.tick += 1;
  }

  /** Moves on by itself while the page is seen. */
  start(): void {
    setInterval(() => document.visibilityState === 'visible' && this.advance(), IDLE_MS);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && Date.now() - this.ms > IDLE_MS) this.advance();
    });
  }
}

export const now = new Now();

const zone = $derived(zoneOf(route.address.zone, session.tenant?.time_zone));
const range = $derived(resolve(route.address.range, now.ms, zone));

/** The zone in which times are shown and cut. */
export const currentZone = (): string => zone;
/** The range that is shown, at this now. */
export const currentRange = (): Range => range;
