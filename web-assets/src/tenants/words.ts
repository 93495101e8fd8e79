// A tenant in words, and what of it is changed.
import type { TenantChange, TenantRecord } from '../api/tenants.ts';
import { full } from '../ui/moments.ts';

/** What nobody changes about it here. */
export function factsOf(tenant: TenantRecord, zone: string): [string, string][] {
  return [
    ['State', tenant.state],
    ['Time zone', tenant.time_zone.replaceAll('_', ' ')],
    ['Since', full(Date.parse(tenant.created_at), zone)],
    ['Id', tenant.id],
  ];
}

/** What is changed by whoever may. */
export function settingsOf(tenant: TenantRecord): [string, string][] {
  return [
    ['Shown as', tenant.display_name ?? tenant.slug],
    ['Questions', tenant.audit_queries ? 'told in the audit log' : 'not told in the audit log'],
  ];
}

/** What of `chosen` is another than `before`. */
export function changeOf(before: TenantRecord, chosen: Required<Omit<TenantChange, 'state'>>): TenantChange {
  return {
    ...(chosen.display_name === before.display_name ? {} : { display_name: chosen.display_name }),
    ...(chosen.audit_queries === before.audit_queries ? {} : { audit_queries: chosen.audit_queries }),
  };
}
