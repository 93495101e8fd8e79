// The tenants of the installation, as who administers the platform has them; the own one, as its people have it.
import { request, requestTagged, type Tagged } from './client.ts';
import { pageQuery } from './listed.svelte.ts';
import type { Page } from './types.ts';

export interface TenantRecord {
  id: string;
  slug: string;
  /** How people read it; nothing: by its slug. */
  display_name: string | null;
  state: 'active' | 'suspended' | 'deleting';
  time_zone: string;
  /** Whether each question is told in its audit log. */
  audit_queries: boolean;
  created_at: string;
}

export interface NewTenant {
  slug: string;
  display_name?: string;
  time_zone: string;
  /** The first administrator, whose password is made up. */
  admin: { email: string };
}

export interface MadeTenant extends TenantRecord {
  admin: { email: string; password: string | null };
}

export interface TenantChange {
  display_name?: string | null;
  audit_queries?: boolean;
  state?: 'active' | 'suspended';
}

const at = (slug: string) => `/tenants/${encodeURIComponent(slug)}`;

export function listTenants(signal?: AbortSignal, cursor?: string): Promise<Page<TenantRecord>> {
  return request(`/tenants${pageQuery(cursor)}`, { signal });
}

export function readTenant(slug: string, signal?: AbortSignal): Promise<Tagged<TenantRecord>> {
  return requestTagged(at(slug), { signal });
}

export function createTenant(tenant: NewTenant): Promise<MadeTenant> {
  return request('/tenants', { method: 'POST', body: tenant });
}

export function changeTenant(slug: string, change: TenantChange, ifMatch?: string): Promise<TenantRecord> {
  return request(at(slug), { method: 'PATCH', body: change, ifMatch });
}

/** Nothing where it is gone; the tenant where it goes once nobody uses it. */
export function deleteTenant(slug: string): Promise<TenantRecord | undefined> {
  return request(at(slug), { method: 'DELETE' });
}
