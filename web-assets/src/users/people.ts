// Users in words.
import type { Account, AccountChange } from '../api/users.ts';

/** Whether, and by what, a user can sign in. */
export function stateOf({ disabled, has_password }: Account): 'active' | 'no password' | 'disabled' {
  if (disabled) return 'disabled';
  return has_password ? 'active' : 'no password';
}

/** What of `chosen` is another than `before`. */
export function changeOf(before: Account, chosen: Required<Omit<AccountChange, 'disabled'>>): AccountChange {
  const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((word) => b.includes(word));
  return {
    ...(chosen.role === before.role ? {} : { role: chosen.role }),
    ...(same(chosen.teams, before.teams) ? {} : { teams: chosen.teams }),
    ...(same(chosen.reported_as, before.reported_as) ? {} : { reported_as: chosen.reported_as }),
  };
}

/** The names of teams, of those that are known. */
export function teamNames(ids: readonly string[], names: ReadonlyMap<string, string>): string {
  return ids.flatMap((id) => names.get(id) ?? []).join(', ');
}
