// What is sent of a provider says what the form says, and of a secret only what was typed.
import { expect, test } from 'vitest';
import type { Provider } from '../api/providers.ts';
import { bodyOf, draftOf, TEMPLATES, templateOf } from './templates.ts';

const template = (id: string) => TEMPLATES.find((one) => one.id === id)!;

const okta: Provider = {
  id: 'p',
  name: 'Okta',
  kind: 'oidc',
  preset: 'okta',
  domain: 'acme.okta.com',
  issuer: 'https://acme.okta.com',
  client_id: '0oa1',
  scopes: ['email', 'groups'],
  groups_claim: 'groups',
  roles: { dev: 'member' },
  default_role: null,
  domains: ['example.org'],
  created_at: '2026-11-26T10:00:00.000Z',
};

test('a new provider is sent with what follows from what was chosen', () => {
  const draft = { ...draftOf(template('okta')), realm: ' acme.okta.com ', client_id: '0oa1', client_secret: ' s ' };
  draft.roles = [{ group: ' dev ', role: 'member' }, { group: '', role: 'admin' }];
  expect(bodyOf(template('okta'), draft, false)).toEqual({
    name: 'Okta',
    kind: 'oidc',
    preset: 'okta',
    domain: 'acme.okta.com',
    client_id: '0oa1',
    client_secret: ' s ',
    roles: { dev: 'member' },
    default_role: 'viewer',
    domains: [],
  });
});

test('a change sends no secret that was not typed, and takes away what was emptied', () => {
  const draft = draftOf(templateOf(okta), okta);
  const same = bodyOf(templateOf(okta), draft, true);
  expect(same).toEqual({
    name: 'Okta',
    domain: 'acme.okta.com',
    client_id: '0oa1',
    scopes: ['email', 'groups'],
    groups_claim: 'groups',
    roles: { dev: 'member' },
    default_role: null,
    domains: ['example.org'],
  });
  const emptied = bodyOf(templateOf(okta), { ...draft, scopes: ' ', groups_claim: '' }, true);
  expect([emptied.scopes, emptied.groups_claim]).toEqual([null, null]);
});

test('SAML is described by metadata, and attributes that are not said are the usual ones', () => {
  const saml = template('saml');
  const draft = { ...draftOf(saml), name: 'Corporate', idp_metadata: '<md/>', email: 'mail' };
  expect(bodyOf(saml, draft, false)).toMatchObject({ kind: 'saml', idp_metadata: '<md/>', attributes: { email: 'mail' } });
  expect(bodyOf(saml, { ...draft, email: '' }, false)).not.toHaveProperty('attributes');
});

test('a provider is known by its protocol and preset, whatever preset that is', () => {
  expect(templateOf(okta).id).toBe('okta');
  expect(templateOf({ ...okta, kind: 'saml' }).id).toBe('okta-saml');
  expect(templateOf({ ...okta, kind: 'saml', preset: 'google' }).id).toBe('saml');
});
