// What the server finds wrong is said at the field, and nothing is said twice or by nobody.
import { expect, test } from 'vitest';
import { Problem } from '../api/problem.ts';
import { FormState } from './form.svelte.ts';

const refused = (...pointers: string[]) =>
  new Problem(422, 'invalid', 'As a whole.', undefined, undefined, pointers.map((pointer) => ({ pointer, detail: `At ${pointer}.` })));

async function sent(form: FormState, error?: Error): Promise<boolean> {
  return form.send(() => (error ? Promise.reject(error) : Promise.resolve()));
}

test('a field says what is wrong with it and with its parts', async () => {
  const form = new FormState();
  for (const pointer of ['/email', '/teams']) form.field(pointer);
  expect(await sent(form, refused('/email', '/teams/1'))).toBe(false);
  expect(form.faultsAt('/email')).toEqual(['At /email.']);
  expect(form.faultsAt('/teams')).toEqual(['At /teams/1.']);
  expect(form.faultsAt('')).toEqual([]);
  expect(form.rest).toBeUndefined();
});

test('what has no field is said as a whole', async () => {
  const form = new FormState();
  const forget = form.field('/team');
  for (const error of [refused('/teams'), refused('/team', '/x'), refused(), new Error('Away.')]) {
    await sent(form, error);
    expect(form.rest).toBe(error);
  }
  await sent(form, refused('/team'));
  forget();
  expect(form.rest).toBe(form.error);
});

test('it is sent once at a time, and what was wrong before is gone', async () => {
  const form = new FormState();
  await sent(form, refused());
  let finish = () => {};
  const first = form.send(() => new Promise((resolve) => (finish = resolve)));
  expect(form.error).toBeUndefined();
  expect(await sent(form)).toBe(false);
  finish();
  expect(await first).toBe(true);
  expect(form.busy).toBe(false);
});
