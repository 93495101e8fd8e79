// Requests to the API under the session's token; a refused token is replaced once.
import { Problem, Unreachable } from './problem.ts';
import { reachability } from './reachability.svelte.ts';
import { REQUEST_MAX_MS, session } from './session.svelte.ts';

export interface Request {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: unknown;
  signal?: AbortSignal | undefined;
}

export async function request<T>(path: string, options: Request = {}): Promise<T> {
  const token = await session.token();
  let answer = await send(path, options, token);
  if (answer.status === 401) {
    session.refused(token);
    answer = await send(path, options, await session.token());
  }
  if (!answer.ok) throw await Problem.of(answer);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

async function send(path: string, { method = 'GET', body, signal }: Request, token: string): Promise<Response> {
  const limit = AbortSignal.timeout(REQUEST_MAX_MS);
  try {
    const answer = await fetch(`/api/v1${path}`, {
      method,
      credentials: 'same-origin',
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
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
