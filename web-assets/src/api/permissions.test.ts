// Permissions are read from a token, and a token that is none gives none.
import { expect, test } from 'vitest';
import { permissionsOf } from './permissions.ts';

const token = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

test('the words of the claim are the permissions', () => {
  const claims = { email: 'żółć@example.org??>>', permissions: ['query', 'keys.manage'] };
  expect([...permissionsOf(token(claims))]).toEqual(['query', 'keys.manage']);
});

test('what says nothing permits nothing', () => {
  for (const text of ['', 'emx_opaque', 'a.b.c', token({}), token({ permissions: 'query' }), token(null)]) {
    expect(permissionsOf(text).size).toBe(0);
  }
});
