// API keys: what shells, CI and agents report with.
import { request } from './client.ts';
import { pageQuery } from './listed.svelte.ts';
import type { ApiKey, Page } from './types.ts';

export interface NewKey {
  name: string;
  role: string;
  /** RFC 3339. */
  expires_at?: string;
  /** From where it is let in, in CIDR notation. */
  networks?: string[];
}

export type CreatedKey = ApiKey & { key: string };

export function listKeys(signal?: AbortSignal, cursor?: string): Promise<Page<ApiKey>> {
  return request(`/api-keys${pageQuery(cursor)}`, { signal });
}

export function createKey(key: NewKey): Promise<CreatedKey> {
  return request('/api-keys', { method: 'POST', body: key });
}

export function revokeKey(id: string): Promise<void> {
  return request(`/api-keys/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
