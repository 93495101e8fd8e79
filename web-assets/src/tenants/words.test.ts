// What is sent of a tenant is what was changed, and nothing else.
import { expect, test } from 'vitest';
import type { TenantRecord } from '../api/tenants.ts';
import { changeOf, settingsOf } from './words.ts';

const acme: TenantRecord = {
  id: 'a',
  slug: 'acme',
  display_name: 'Acme GmbH',
  state: 'active',
  time_zone: 'Europe/Berlin',
  audit_queries: false,
  created_at: '2026-11-26T10:00:00.000Z',
};

test('only what is another is sent', () => {
  expect(changeOf(acme, { display_name: 'Acme GmbH', audit_queries: false })).toEqual({});
  expect(changeOf(acme, { display_name: null, audit_queries: false })).toEqual({ display_name: null });
  expect(changeOf(acme, { display_name: 'Acme GmbH', audit_queries: true })).toEqual({ audit_queries: true });
  const told = { ...acme, audit_queries: true };
  expect(changeOf(told, { display_name: 'Acme', audit_queries: false })).toEqual({ display_name: 'Acme', audit_queries: false });
});

test('what has no name for people goes by its own, and what the log tells is said', () => {
  const said = (tenant: TenantRecord) => settingsOf(tenant).map(([, value]) => value);
  expect(said(acme)).toEqual(['Acme GmbH', 'not told in the audit log']);
  expect(said({ ...acme, display_name: null, audit_queries: true })).toEqual(['acme', 'told in the audit log']);
});
