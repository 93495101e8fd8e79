// The ways of single sign-on that a tenant has, and where each begins.

export interface Way {
  id: string;
  name: string;
  kind: 'oidc' | 'saml';
  preset: string | null;
  /** The path at which signing in begins. */
  start: string;
}

/** Longest address that the server takes somebody back to. */
const RETURN_MAX = 512;

/** What is not answered within this is not waited for: a password works without it. */
const ANSWER_MAX_MS = 10_000;

/** Where the ways of `tenant` are asked for. What nobody has chosen stands back behind the tenant that the host names. */
export function waysOf(tenant: string, chosen: boolean): string {
  return `/api/v1/auth/sso?${chosen ? 'tenant' : 'fallback'}=${encodeURIComponent(tenant)}`;
}

/** The ways of a tenant. */
export interface Ways {
  /** Whose, where nobody has chosen: that of the host. */
  tenant?: string;
  items: Way[];
}

/** The ways of `tenant`; none where the server cannot say. */
export async function listWays(tenant: string, chosen: boolean, signal: AbortSignal): Promise<Ways> {
  const none: Ways = { items: [] };
  if (!tenant) return none;
  try {
    const answer = await fetch(waysOf(tenant, chosen), {
      credentials: 'same-origin',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MAX_MS)]),
    });
    return answer.ok ? ((await answer.json()) as Ways) : none;
  } catch {
    return none;
  }
}

/** Where `way` begins for somebody who wants to be at `path` afterwards. */
export function startOf(way: Way, path: string): string {
  const back = path.length <= RETURN_MAX ? path : '/';
  return `${way.start}?return_to=${encodeURIComponent(back)}`;
}
