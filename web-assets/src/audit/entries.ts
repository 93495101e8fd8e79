// Entries of the audit log as words.
import type { AuditEntry } from '../api/audit.ts';

const WHO: Record<string, string> = {
  operator: 'At the machine',
  anonymous: 'Nobody known',
  many: 'Many',
};

/** Who it was, as people call them; of who is gone the id. */
export function whoOf({ actor, actor_name }: AuditEntry): string {
  return actor_name ?? WHO[actor] ?? actor;
}

/** What it was: with how often, where it was several times. */
export function whatOf({ action, count }: AuditEntry): string {
  return count > 1 ? `${action} × ${count.toLocaleString('en-GB')}` : action;
}

/** What there is to know beside: a fact a line. */
export function factsOf(entry: AuditEntry): [string, string][] {
  const value = (of: unknown) => (typeof of === 'string' ? of : JSON.stringify(of, null, 2));
  const facts: [string, string | null][] = [
    ['Entry', String(entry.seq)],
    ['Actor', entry.actor],
    ['Target', entry.target || null],
    ['Address', entry.address],
    ['Request', entry.request_id],
    ['Before', entry.before === null ? null : value(entry.before)],
    ['After', entry.after === null ? null : value(entry.after)],
    ['SHA-256', entry.hash],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null);
}
