// The session: who is signed in, and an access token that is always fresh.
import { type Permission, permissionsOf } from './permissions.ts';
import { Problem, SignedOut, Unreachable } from './problem.ts';
import { reachability } from './reachability.svelte.ts';
import type { Login, Tenant, User } from './types.ts';

/** So long before it expires a token is replaced. */
const FRESH_MARGIN_MS = 60_000;

/** After so long a busy server is asked again for the session. */
const RESTORE_RETRY_S = 3;

/** Requests that get no answer within this are given up. */
export const REQUEST_MAX_MS = 60_000;

/** What somebody signs in with. */
export interface Credentials {
  tenant: string;
  email: string;
  password: string;
}

class Session {
  /** `restoring` until the first refresh has been answered. */
  state = $state<'restoring' | 'signed_out' | 'signed_in'>('restoring');
  user = $state.raw<User>();
  tenant = $state.raw<Tenant>();
  /** Whether the session ended by itself, so that the sign-in page can say so. */
  expired = $state(false);

  #permissions = $state.raw<ReadonlySet<string>>(new Set());
  #token: string | undefined;
  #freshUntil = 0;
  #refreshing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes up the session that the cookie stands for, if there is one. */
  async restore(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      if (error instanceof Unreachable) {
        reachability.whenBack(() => void this.restore());
        return;
      }
      if (error instanceof Problem) {
        // The server is there but cannot say: the session may well be good.
        setTimeout(() => void this.restore(), (error.retryAfter ?? RESTORE_RETRY_S) * 1000);
        return;
      }
      this.#end(false);
    }
  }

  /** `otp` is a code of a second factor, where there is one. */
  async signIn(credentials: Credentials, otp?: string): Promise<void> {
    const code = otp === undefined ? {} : { otp };
    this.take(await post<Login>('/api/v1/auth/login', { ...credentials, ...code, cookie: true }));
  }

  /** Takes up a session that was begun. */
  take(login: Login): void {
    this.#begin(login);
  }

  async signOut(): Promise<void> {
    const token = this.#token;
    try {
      if (token) await post('/api/v1/auth/logout', {}, token);
    } catch (error) {
      // A session that the server no longer knows has ended all the same.
      if (!(error instanceof Problem && error.status === 401)) throw error;
    }
    this.#end(false);
  }

  may(permission: Permission): boolean {
    return this.#permissions.has(permission);
  }

  /** A token that is good for the next request. */
  async token(): Promise<string> {
    if (!this.#token || Date.now() >= this.#freshUntil) await this.refresh();
    if (!this.#token) throw new SignedOut();
    return this.#token;
  }

  /** Forgets `token`, which the server has refused. */
  refused(token: string): void {
    if (this.#token === token) this.#freshUntil = 0;
  }

  /** Gets a new token by the cookie. One at a time, over all tabs: each spends the refresh token. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshAlone().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refreshAlone(): Promise<void> {
    const wasIn = this.state === 'signed_in';
    try {
      const renew = () => post<Login>('/api/v1/auth/refresh', {});
      this.#begin(await (navigator.locks ? navigator.locks.request('emx-refresh', renew) : renew()));
    } catch (error) {
      if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
        this.#end(wasIn);
        throw new SignedOut();
      }
      throw error;
    }
  }

  #begin(login: Login): void {
    this.#token = login.access_token;
    this.#permissions = permissionsOf(login.access_token);
    const fresh = Math.max(login.expires_in * 1000 - FRESH_MARGIN_MS, 5_000);
    this.#freshUntil = Date.now() + fresh;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh().catch(() => undefined), fresh);
    this.user = login.user;
    this.tenant = login.tenant;
    this.expired = false;
    this.state = 'signed_in';
  }

  #end(byItself: boolean): void {
    clearTimeout(this.#timer);
    this.#token = undefined;
    this.user = undefined;
    this.expired = byItself;
    this.state = 'signed_out';
  }
}

/** Asks outside of any session, unless `token` is one's. */
export async function post<T>(path: string, body: unknown, token?: string): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        'Content-Type': 'application/json',
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MAX_MS),
    });
  } catch {
    reachability.lost();
    throw new Unreachable();
  }
  reachability.found();
  if (!answer.ok) throw await Problem.of(answer);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const session = new Session();
