// Roles, and what each may do.
import { request } from './client.ts';
import type { User } from './types.ts';

export interface RoleTable {
  /** From the one that may least on. */
  roles: string[];
  permissions: { permission: string; roles: string[] }[];
}

export function readRoles(signal?: AbortSignal): Promise<RoleTable> {
  return request('/roles', { signal });
}

/** The roles of users, each of which may all that those before it may. */
export const USER_ROLES = ['viewer', 'member', 'manager', 'admin', 'owner'] as const;

/** The roles that `user` may give away: none that may more. */
export function assignableBy(user: User): string[] {
  const own = user.platform ? USER_ROLES.length - 1 : USER_ROLES.indexOf(user.role as (typeof USER_ROLES)[number]);
  return USER_ROLES.slice(0, own + 1);
}

/** Whether `user` may decide about `other`: about nobody who may more. */
export function mayDecideAbout(user: User, other: { role: string; platform: boolean }): boolean {
  return user.platform || (!other.platform && assignableBy(user).includes(other.role));
}
