// Taking an invitation or a way back: who holds its token chooses a password, once.
import { post } from './session.svelte.ts';

/** Who can sign in now, and where. */
export interface Accepted {
  tenant: string;
  email: string;
}

export function accept(token: string, password: string): Promise<Accepted> {
  return post<Accepted>('/api/v1/auth/accept', { token, password });
}

/** The token in what stands behind `#` of a link. */
export function tokenOf(hash: string): string {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') ?? '';
}
