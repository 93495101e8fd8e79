// Limits in words, and their values as people write them.
import { LIMITS, type Limit, type Limits, type Overrides } from '../api/limits.ts';
import { duration, exact } from '../ui/figures.ts';

interface Words {
  name: string;
  /** What is written beside a value in a form, if anything, and how much one of it is. */
  unit: string;
  size: number;
  shown: (value: number) => string;
}

const MIB = 2 ** 20;
const BYTES = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', MIB],
  ['KiB', 1024],
] as const;

/** `256 MiB`, `1.5 GiB`. */
export function bytes(value: number): string {
  const [unit, size] = BYTES.find(([, size]) => value >= size) ?? ['B', 1];
  return `${Number((value / size).toPrecision(3))} ${unit}`;
}

const perSecond = (value: number) => `${exact(Number(value.toPrecision(3)))}/s`;
const rate = (name: string): Words => ({ name, unit: 'a second', size: 1, shown: perSecond });
const some = (name: string): Words => ({ name, unit: '', size: 1, shown: exact });
const room = (name: string): Words => ({ name, unit: 'MiB', size: MIB, shown: bytes });

export const WORDS: Record<Limit, Words> = {
  requests_per_second: rate('Requests'),
  events_per_second: rate('Runs that are sent'),
  concurrent_requests: some('Requests at a time'),
  websocket_connections: some('Live connections'),
  query_time_ms: { name: 'Time of a question', unit: 's', size: 1000, shown: duration },
  query_memory_bytes: room('Memory of a question'),
  cpu_share: {
    name: 'Share of the processors, while others ask too',
    unit: '%',
    size: 0.01,
    shown: (value) => `${Math.round(value * 100)} %`,
  },
  storage_bytes: room('Storage'),
};

/** Those of which there may be no bound. */
const UNBOUNDED: ReadonlySet<Limit> = new Set(['requests_per_second', 'events_per_second', 'storage_bytes']);

export const isUnbounded = (limit: Limit, value: number): boolean => value === 0 && UNBOUNDED.has(limit);

export function shownLimit(limit: Limit, value: number): string {
  return isUnbounded(limit, value) ? 'no bound' : WORDS[limit].shown(value);
}

/** How full it is, 0 to 1; nothing where nobody can say. */
export function fullness(limit: Limit, used: number | null, value: number): number | undefined {
  return used === null || isUnbounded(limit, value) || value <= 0 ? undefined : Math.min(used / value, 1);
}

/** What a form says of the limits of a tenant: empty where the default holds. */
export function textsOf(limits: Limits): Record<Limit, string> {
  const text = (limit: Limit) =>
    limits.overridden.includes(limit) ? String(Number((limits[limit] / WORDS[limit].size).toPrecision(12))) : '';
  return Object.fromEntries(LIMITS.map((limit) => [limit, text(limit)])) as Record<Limit, string>;
}

/** What is sent for the texts of a form. The server says what cannot be. */
export function overridesOf(texts: Record<Limit, string>): Overrides {
  const entries = LIMITS.filter((limit) => texts[limit].trim() !== '').map((limit) => {
    const value = Number(texts[limit].trim().replace(',', '.')) * WORDS[limit].size;
    return [limit, limit === 'cpu_share' ? Number(value.toPrecision(12)) : Math.round(value)] as const;
  });
  return Object.fromEntries(entries);
}
