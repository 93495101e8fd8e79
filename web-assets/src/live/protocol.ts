// The live stream's messages (`emx.v1`), and what each of them asks the follower to do.
import type { Execution } from '../api/types.ts';

export interface Update {
  first_seq: number;
  last_seq: number;
  count: number;
  failures: number;
  executions: Execution[];
  truncated?: boolean;
}

/** Where a follower of the feed stands. */
export interface Position {
  /** Names its subscription; answers to earlier ones are ignored. */
  id: string;
  /** The first seq that it has not seen; unknown until the feed has said one. */
  next: number | undefined;
}

export type Step =
  | { kind: 'update'; update: Update; position: Position }
  | { kind: 'subscribed' }
  | { kind: 'resume'; from: number }
  /** What was missed is no longer in the feed: load anew and follow from now on. */
  | { kind: 'restart' }
  | { kind: 'pong' }
  | { kind: 'ignore' };

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const int = (value: unknown): number | undefined => (Number.isSafeInteger(value) ? (value as number) : undefined);

/** What to do about a message. */
export function step(text: string, position: Position): Step {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return { kind: 'ignore' };
  }
  if (!isObject(message)) return { kind: 'ignore' };
  const data = isObject(message.data) ? message.data : {};
  const id = message.id ?? data.id;
  if (id !== undefined && id !== null && id !== position.id) return { kind: 'ignore' };
  const member = (key: string) => data[key] ?? message[key];
  switch (message.type) {
    case 'metrics_update':
      return update(data, position);
    case 'subscribed':
      return { kind: 'subscribed' };
    case 'lagged': {
      const from = int(member('from_seq')) ?? position.next;
      return from === undefined ? { kind: 'restart' } : { kind: 'resume', from };
    }
    case 'error':
      return member('code') === 'seq_expired' || isObject(member('seq_expired'))
        ? { kind: 'restart' }
        : { kind: 'ignore' };
    case 'pong':
      return { kind: 'pong' };
    default:
      return { kind: 'ignore' };
  }
}

function update(data: Json, position: Position): Step {
  const [first, last] = [int(data.first_seq), int(data.last_seq)];
  // What was replayed before is not counted again.
  if (first === undefined || last === undefined || (position.next !== undefined && last < position.next)) {
    return { kind: 'ignore' };
  }
  const executions = Array.isArray(data.executions) ? (data.executions as Execution[]) : [];
  return {
    kind: 'update',
    update: {
      first_seq: first,
      last_seq: last,
      count: int(data.count) ?? executions.length,
      failures: int(data.failures) ?? 0,
      executions,
      truncated: data.truncated === true,
    },
    position: { ...position, next: last + 1 },
  };
}

const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 30_000;

/** How long to wait before the `attempt`th connection in a row; `chance` is 0 to 1 and keeps many pages from returning at once. */
export function backoff(attempt: number, chance: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** Math.min(attempt, 10), LAST_WAIT_MS) * (0.5 + chance / 2);
}
