// What to do where nothing ran: depends on what was chosen.
import { route } from './route.svelte.ts';

export function nothingRan(): string {
  const { filters } = route.address;
  if (filters.length === 0) return 'Nothing ran in this range. Choose a longer one.';
  return filters.length === 1
    ? 'Nothing in this range passes the filter. Choose a longer range, or take the filter away.'
    : 'Nothing in this range passes all filters. Choose a longer range, or take one of them away.';
}
