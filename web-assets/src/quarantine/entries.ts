// Entries of the quarantine as text, and in the order in which one reads them.
import type { Quarantined } from '../api/quarantine.ts';

/** What an entry is called: the run's command, else that it is none. */
export function nameOf({ raw }: Quarantined): string {
  if (typeof raw === 'string') return 'Text that is no run';
  const command = (raw as { command?: unknown } | null)?.command;
  return typeof command === 'string' && command !== '' ? command : 'A run without a command';
}

/** What was sent, to be read: a run with one field a line. */
export function textOf({ raw }: Quarantined): string {
  return typeof raw === 'string' ? raw : JSON.stringify(raw, null, 2);
}

/** The newest first, whatever the version of the tenant's data. */
export function newestFirst(entries: readonly Quarantined[]): Quarantined[] {
  return [...entries].sort((a, b) => Date.parse(b.received_at) - Date.parse(a.received_at));
}
