// Which rows of a tenant each role sees, and which its aggregates are over. Roles above these see everything.
import { request, requestTagged, type Tagged } from './client.ts';

export const POLICY_ROLES = ['viewer', 'member', 'manager'] as const;
export type PolicyRole = (typeof POLICY_ROLES)[number];

/** From the one that shows most on. */
export const SIGHTS = ['all', 'teams', 'own', 'none'] as const;
export type Sight = (typeof SIGHTS)[number];

export const COUNTED = ['all', 'same'] as const;
export type Counted = (typeof COUNTED)[number];

export interface RoleSight {
  rows: Sight;
  aggregates: Counted;
}

export type RowRules = Record<PolicyRole, RoleSight>;

/** What holds; `preset` is its name, if it has one. */
export type RowPolicy = RowRules & { preset: string | null };

const at = (slug: string) => `/tenants/${encodeURIComponent(slug)}/row-policy`;

export function readPolicy(slug: string, signal?: AbortSignal): Promise<Tagged<RowPolicy>> {
  return requestTagged(at(slug), { signal });
}

export function setPolicy(slug: string, rules: RowRules, ifMatch?: string): Promise<RowPolicy> {
  return request(at(slug), { method: 'PUT', body: rules, ifMatch });
}
