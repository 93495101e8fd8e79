// The scope that the address and the present moment give, and loading by it.
import type { Resource } from '../api/resource.svelte.ts';
import { currentRange, currentZone, now } from '../state/now.svelte.ts';
import { route } from '../state/route.svelte.ts';
import type { Scope } from './questions.ts';

export function currentScope(): Scope {
  return { range: currentRange(), zone: currentZone(), filters: route.address.filters };
}

/** What was chosen, as a text: only a change of it dims what is shown, the passing of time does not. */
export function scopeKey(): string {
  const { range, filters } = route.address;
  return JSON.stringify([range, currentZone(), filters]);
}

/** Loads `resource` now, and again when what was chosen or what is stored changes. Call it while a component starts. */
export function follow<T>(
  resource: Resource<T>,
  load: (scope: Scope, signal: AbortSignal) => Promise<T>,
  more: () => unknown = () => undefined,
): void {
  const key = $derived(`${scopeKey()} ${JSON.stringify(more())}`);
  $effect(() => {
    void now.tick;
    const scope = currentScope();
    void resource.load(key, (signal) => load(scope, signal));
  });
  $effect(() => () => resource.stop());
}
