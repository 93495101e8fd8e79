import { expect, test } from 'vitest';
import { startOf, waysOf, type Way } from './ways.ts';

const way: Way = { id: 'p', name: 'Corporate', kind: 'oidc', preset: null, start: '/api/v1/auth/sso/acme/p/start' };

test('signing in leads back to where one was, unless that is too long to be told', () => {
  expect(startOf(way, '/runs?f=status%3Dfailure')).toBe(`${way.start}?return_to=%2Fruns%3Ff%3Dstatus%253Dfailure`);
  expect(startOf(way, `/${'x'.repeat(600)}`)).toBe(`${way.start}?return_to=%2F`);
});

test('a tenant that nobody has chosen is not insisted on', () => {
  expect(waysOf('acme & co', true)).toBe('/api/v1/auth/sso?tenant=acme%20%26%20co');
  expect(waysOf('default', false)).toBe('/api/v1/auth/sso?fallback=default');
});
