// Nobody gives away, or decides about, more than they have.
import { expect, test } from 'vitest';
import { assignableBy, mayDecideAbout } from './roles.ts';

const user = (role: string, platform = false) => ({ id: 'u', email: 'u@example.org', role, platform });

test('roles up to one’s own can be given', () => {
  expect(assignableBy(user('admin'))).toEqual(['viewer', 'member', 'manager', 'admin']);
  expect(assignableBy(user('viewer', true)).at(-1)).toBe('owner');
  expect(assignableBy(user('ingest'))).toEqual([]);
});

test('nobody decides about somebody who may more', () => {
  for (const [own, other, may] of [
    [user('admin'), user('admin'), true],
    [user('admin'), user('owner'), false],
    [user('owner'), user('viewer', true), false],
    [user('viewer', true), user('owner', true), true],
  ] as const) {
    expect(mayDecideAbout(own, other), `${own.role} about ${other.role}`).toBe(may);
  }
});
