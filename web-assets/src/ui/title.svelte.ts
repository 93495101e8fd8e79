// The document's title: what is shown, the most particular first.
import { session } from '../api/session.svelte.ts';
import { fieldName, opName } from '../state/filters.ts';
import { currentRange, currentZone, now } from '../state/now.svelte.ts';
import { spokenPreset } from '../state/range.ts';
import { route } from '../state/route.svelte.ts';
import { nameOf } from '../state/views.ts';
import { span } from './moments.ts';

export function title(): string {
  if (route.address.view === 'accept') return `${nameOf('accept')} – External Metrics`;
  if (session.state !== 'signed_in') return 'Sign in – External Metrics';
  const { view, range, filters, run } = route.address;
  const parts: string[] = [];
  if (run) parts.push(`Run ${run.id}`);
  parts.push(nameOf(view));
  if (view === 'overview' || view === 'runs') {
    for (const { field, op, value } of filters.slice(0, 2)) {
      const sign = op === 'eq' ? '' : `${opName(op, value)} `;
      parts.push(`${fieldName(field)} ${sign}${op === 'exists' ? '' : value}`.trim());
    }
    parts.push(
      'preset' in range ? spokenPreset(range.preset) : span(currentRange(), now.ms, currentZone()),
    );
  }
  parts.push(session.tenant?.slug ?? '');
  return `${parts.filter(Boolean).join(' · ')} – External Metrics`;
}
