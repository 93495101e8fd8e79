// Loading for a panel: the newest question wins, and the same one is never starved.
import { expect, test, vi } from 'vitest';
import { Problem } from './problem.ts';
import { Resource } from './resource.svelte.ts';

/** A load that ends when told, and notes whether it was given up. */
function controlled() {
  const asked: { answer: (value: string) => void; fail: (error: Error) => void; signal: AbortSignal }[] = [];
  const load = (signal: AbortSignal) =>
    new Promise<string>((answer, fail) => asked.push({ answer, fail, signal }));
  return { asked, load };
}
const settle = () => new Promise((done) => setTimeout(done));

test('another question drops the one under way, and what is shown is stale until it is answered', async () => {
  const resource = new Resource<string>();
  const { asked, load } = controlled();
  void resource.load('a', load);
  asked[0]?.answer('A');
  await settle();
  void resource.load('b', load);
  void resource.load('c', load);
  expect([resource.data, resource.stale, asked[1]?.signal.aborted]).toEqual(['A', true, true]);
  asked[1]?.answer('B');
  asked[2]?.answer('C');
  await settle();
  expect([resource.data, resource.stale, resource.loading]).toEqual(['C', false, false]);
});

test('the same question waits for its answer and is asked once more', async () => {
  const resource = new Resource<string>();
  const { asked, load } = controlled();
  for (let n = 0; n < 5; n++) void resource.load('a', load);
  expect(asked).toHaveLength(1);
  asked[0]?.answer('old');
  await settle();
  expect([resource.data, resource.stale, asked.length]).toEqual(['old', false, 2]);
  asked[1]?.answer('new');
  await settle();
  expect([resource.data, asked.length]).toEqual(['new', 2]);
});

test('an error shows, and a busy server is asked again by itself', async () => {
  vi.useFakeTimers();
  const resource = new Resource<string>();
  let calls = 0;
  void resource.load('a', async () => {
    calls += 1;
    if (calls === 1) throw new Problem(503, 'busy', 'Busy.', undefined, 2);
    return 'A';
  });
  await vi.advanceTimersByTimeAsync(1);
  expect([resource.error?.message, resource.data]).toEqual(['Busy.', undefined]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect([resource.error, resource.data, calls]).toEqual([undefined, 'A', 2]);
  vi.useRealTimers();
});
