// The audit log: who did what.
import { request } from './client.ts';
import type { Page } from './types.ts';

export type Outcome = 'done' | 'refused' | 'begun' | 'failed';

export interface AuditEntry {
  seq: number;
  /** RFC 3339. */
  at: string;
  /** `user:<id>`, `key:<id>`, `operator` or `anonymous`. */
  actor: string;
  /** What people call the actor today. */
  actor_name: string | null;
  /** `noun.verb`; of a refused request its method and address. */
  action: string;
  /** `noun:<id>`, or nothing. */
  target: string;
  outcome: Outcome;
  /** How often, where one entry tells of several. */
  count: number;
  address: string | null;
  request_id: string | null;
  before: unknown;
  after: unknown;
  hash: string;
}

export interface AuditFilter {
  text: string;
  outcome: Outcome | '';
}

export interface AuditVerdict {
  entries: number;
  sound: boolean;
  findings: { seq: number; harm: string; detail: string }[];
}

/** Entries of a page: as many as one reads. */
const PAGE = 100;

export function listAudit(filter: AuditFilter, signal?: AbortSignal, cursor?: string): Promise<Page<AuditEntry>> {
  const params = new URLSearchParams({ limit: String(PAGE) });
  if (filter.text.trim()) params.set('q', filter.text.trim());
  if (filter.outcome) params.set('outcome', filter.outcome);
  if (cursor) params.set('cursor', cursor);
  return request(`/audit?${params}`, { signal });
}

/** Reads the whole log and says whether it is what was written, and what the anchor was made of. */
export function verifyAudit(anchor: string): Promise<AuditVerdict> {
  return request(`/audit/verify?${new URLSearchParams({ anchor })}`);
}

/** The line that shows later, kept elsewhere, whether the log was cut or written anew. */
export function auditAnchor(): Promise<{ line: string }> {
  return request('/audit/anchor');
}
