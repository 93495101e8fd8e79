// What a tenant may use, and uses.
import { request, requestTagged, type Tagged } from './client.ts';

export const LIMITS = [
  'requests_per_second',
  'events_per_second',
  'concurrent_requests',
  'websocket_connections',
  'query_time_ms',
  'query_memory_bytes',
  'cpu_share',
  'storage_bytes',
] as const;
export type Limit = (typeof LIMITS)[number];

/** The limits that hold; 0 is no bound. `overridden` are those that are the tenant's own. */
export type Limits = Record<Limit, number> & { overridden: string[] };

/** What is set for a tenant; of what is absent the default holds. */
export type Overrides = Partial<Record<Limit, number>>;

export interface Used {
  /** Nothing where it is counted a question at a time. */
  used: number | null;
  limit: number;
  /** How often something was refused since the server's start. */
  refused: number;
}

export type Usage = Record<Limit, Used> & {
  answers: { count: number; p50_ms: number | null; p99_ms: number | null };
  cpu_ms: number;
};

const at = (slug: string) => `/tenants/${encodeURIComponent(slug)}`;

export function readLimits(slug: string, signal?: AbortSignal): Promise<Tagged<Limits>> {
  return requestTagged(`${at(slug)}/limits`, { signal });
}

export function setLimits(slug: string, overrides: Overrides, ifMatch?: string): Promise<Limits> {
  return request(`${at(slug)}/limits`, { method: 'PUT', body: overrides, ifMatch });
}

export function readUsage(slug: string, signal?: AbortSignal): Promise<Usage> {
  return request(`${at(slug)}/usage`, { signal });
}
