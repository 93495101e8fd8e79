// The quarantine: what could not be accepted, whole, with the reason.
import { request } from './client.ts';
import type { Page } from './types.ts';

export interface Quarantined {
  id: string;
  /** RFC 3339. */
  received_at: string;
  origin: string;
  code: string;
  /** JSON pointer of the offending field. */
  pointer: string;
  detail: string;
  /** The execution as it came, or the text that could not be read as one. */
  raw: unknown;
}

/** Entries of a page: as many as one reads. */
const PAGE = 100;

export function listQuarantined(signal?: AbortSignal, cursor?: string): Promise<Page<Quarantined>> {
  const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
  return request(`/quarantine?limit=${PAGE}${after}`, { signal });
}

/** Has it judged again; answers if it is stored now, and throws the reason if not. */
export function retryQuarantined(id: string): Promise<{ outcome: 'accepted' | 'duplicate' }> {
  return request(`/quarantine/${encodeURIComponent(id)}/retry`, { method: 'POST' });
}

export function dropQuarantined(id: string): Promise<void> {
  return request(`/quarantine/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
