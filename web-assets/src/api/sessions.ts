// Sessions: one's own, and those of users whom one administers.
import { request } from './client.ts';
import { pageQuery } from './listed.svelte.ts';
import type { Page } from './types.ts';

export interface OpenSession {
  id: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  address: string | null;
  user_agent: string | null;
  /** The one that asks. */
  current: boolean;
}

/** Where the sessions of a user are; one's own without. */
const at = (user?: string) => (user === undefined ? '/auth/sessions' : `/users/${encodeURIComponent(user)}/sessions`);

export function listSessions(user?: string, signal?: AbortSignal, cursor?: string): Promise<Page<OpenSession>> {
  return request(`${at(user)}${pageQuery(cursor)}`, { signal });
}

export function endSession(id: string, user?: string): Promise<void> {
  return request(`${at(user)}/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

export function endSessionsOf(user: string): Promise<void> {
  return request(at(user), { method: 'DELETE' });
}

export function changePassword(current: string, chosen: string): Promise<void> {
  return request('/auth/password', { method: 'POST', body: { current, new: chosen } });
}
