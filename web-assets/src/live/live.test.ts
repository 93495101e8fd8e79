// Following the feed: nothing twice, nothing lost, nothing of another subscription.
import { expect, test } from 'vitest';
import type { Execution } from '../api/types.ts';
import { merge, unseen } from './merge.ts';
import { backoff, step } from './protocol.ts';

const run = (id: string, second: number, seq = 0): Execution => ({
  id,
  seq,
  ts: new Date(second * 1000).toISOString(),
  command: 'make',
  status: 'success',
  actor: 'human',
});
const ids = (rows: Execution[]) => rows.map((row) => row.id).join('');
const at = (next?: number) => ({ id: 'a', next });
const update = (first_seq: number, last_seq: number, id?: string) =>
  JSON.stringify({ type: 'metrics_update', id, data: { first_seq, last_seq, count: 1, failures: 0, executions: [] } });

test('the newest come first, each once, and not too many', () => {
  const shown = [run('c', 3), run('a', 1)];
  expect(ids(merge(shown, [run('b', 2), run('d', 4), run('c', 3)], 3))).toBe('dcb');
  expect(ids(merge([], [run('x', 5, 1), run('y', 5, 2)], 9))).toBe('yx');
  expect(unseen(shown, [run('b', 2), run('c', 3), run('b', 2)])).toBe(1);
  // The same id at another time is another execution.
  expect(unseen(shown, [run('c', 9)])).toBe(1);
});

test('an update moves the position', () => {
  const moved = step(update(5, 7, 'a'), at());
  expect(moved.kind === 'update' && moved.position.next).toBe(8);
  expect(step(update(5, 7), at(8)).kind).toBe('ignore');
  expect(step(update(7, 8), at(8)).kind).toBe('update');
  expect(step(update(5, 7, 'b'), at()).kind).toBe('ignore');
});

test('lagging resumes, and what is gone starts again', () => {
  const json = (value: unknown) => JSON.stringify(value);
  expect(step(json({ type: 'lagged', data: { from_seq: 9 } }), at(4))).toEqual({ kind: 'resume', from: 9 });
  expect(step(json({ type: 'lagged', from_seq: 9 }), at())).toEqual({ kind: 'resume', from: 9 });
  expect(step(json({ type: 'lagged' }), at(4))).toEqual({ kind: 'resume', from: 4 });
  expect(step(json({ type: 'error', data: { code: 'seq_expired', first_seq: 3 } }), at(1)).kind).toBe('restart');
  expect(step(json({ type: 'error', data: { code: 'bad_filter' } }), at(1)).kind).toBe('ignore');
});

test('nonsense is ignored', () => {
  for (const text of ['', '[]', 'null', '{"type":7}', '{"type":"metrics_update"}']) {
    expect(step(text, at()).kind).toBe('ignore');
  }
});

test('waiting grows, within bounds', () => {
  expect(backoff(0, 1)).toBe(500);
  expect(backoff(3, 0)).toBe(2000);
  expect(backoff(99, 1)).toBe(30_000);
});
