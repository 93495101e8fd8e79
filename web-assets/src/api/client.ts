// Requests to the API under the session's token; a refused token is replaced once.
import { Problem, Unreachable } from './problem.ts';
import { reachability } from './reachability.svelte.ts';
import { REQUEST_MAX_MS, session } from './session.svelte.ts';

export interface Request {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  body?: unknown;
  /** The tag of what is changed, as it was seen: fails with 412 where it is another by now. */
  ifMatch?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Something that can be changed, and what to send back to say which of its states was seen. */
export interface Tagged<T> {
  value: T;
  tag: string | undefined;
}

/** What was refused is a password or a code that was sent, not the token: another token would not help. */
const OF_THE_PERSON = new Set(['invalid_credentials', 'invalid_otp', 'otp_locked', 'otp_required']);

export async function request<T>(path: string, options: Request = {}): Promise<T> {
  const answer = await ask(path, options);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export async function requestTagged<T>(path: string, options: Request = {}): Promise<Tagged<T>> {
  const answer = await ask(path, options);
  return { value: (await answer.json()) as T, tag: answer.headers.get('ETag') ?? undefined };
}

async function ask(path: string, options: Request): Promise<Response> {
  const token = await session.token();
  const answer = await send(path, options, token);
  if (answer.ok) return answer;
  const problem = await Problem.of(answer);
  if (problem.status !== 401 || OF_THE_PERSON.has(problem.code)) throw problem;
  session.refused(token);
  const again = await send(path, options, await session.token());
  if (!again.ok) throw await Problem.of(again);
  return again;
}

async function send(path: string, options: Request, token: string): Promise<Response> {
  const { method = 'GET', body, ifMatch, signal } = options;
  const limit = AbortSignal.timeout(REQUEST_MAX_MS);
  try {
    const answer = await fetch(`/api/v1${path}`, {
      method,
      credentials: 'same-origin',
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(ifMatch === undefined ? {} : { 'If-Match': ifMatch }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    reachability.found();
    return answer;
  } catch (error) {
    if (signal?.aborted) throw error;
    if (limit.aborted) throw new Problem(0, 'timeout', 'The server took too long to answer.');
    reachability.lost();
    throw new Unreachable();
  }
}
