// Instants for people, in the zone that was chosen.
import { bucketStart, offsetName } from '../state/zones.ts';
import type { Range } from '../state/range.ts';

const cache = new Map<string, Intl.DateTimeFormat>();

function shown(ms: number, zone: string, key: string, options: Intl.DateTimeFormatOptions): string {
  const name = `${zone} ${key}`;
  let format = cache.get(name);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone });
    cache.set(name, format);
  }
  return format.format(ms);
}

const DAY: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short' };
const YEAR: Intl.DateTimeFormatOptions = { year: 'numeric' };
const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };

export const clock = (ms: number, zone: string) => shown(ms, zone, 'clock', TIME);
export const seconds = (ms: number, zone: string) => shown(ms, zone, 'seconds', { ...TIME, second: '2-digit' });
export const day = (ms: number, zone: string) => shown(ms, zone, 'day', DAY);
export const dayOfYear = (ms: number, zone: string) => shown(ms, zone, 'dated', { ...DAY, ...YEAR });
export const month = (ms: number, zone: string) => shown(ms, zone, 'month', { month: 'short', ...YEAR });
export const weekday = (ms: number, zone: string) => shown(ms, zone, 'weekday', { weekday: 'short', ...DAY });

/** `26 Nov 2026, 10:17:42.500 UTC+1`: everything about an instant. */
export function full(ms: number, zone: string): string {
  const millis = String(((ms % 1000) + 1000) % 1000).padStart(3, '0');
  return `${dayOfYear(ms, zone)}, ${seconds(ms, zone)}.${millis} ${offsetName(ms, zone)}`;
}

/** The time where it is of today, else the day with it; the year where it is another. */
export function brief(ms: number, now: number, zone: string): string {
  if (bucketStart(ms, 'day', zone) === bucketStart(now, 'day', zone)) return seconds(ms, zone);
  const sameYear = shown(ms, zone, 'year', YEAR) === shown(now, zone, 'year', YEAR);
  return sameYear ? `${day(ms, zone)}, ${clock(ms, zone)}` : dayOfYear(ms, zone);
}

/** `26 Nov, 10:00 – 27 Nov, 10:00`, with what both ends share said once. */
export function span({ from, to }: { from: number; to: number }, now: number, zone: string): string {
  const years = new Set([from, to, now].map((ms) => shown(ms, zone, 'year', YEAR)));
  const date = years.size > 1 ? dayOfYear : day;
  const sameDay = bucketStart(from, 'day', zone) === bucketStart(to, 'day', zone);
  const end = sameDay ? clock(to, zone) : `${date(to, zone)}, ${clock(to, zone)}`;
  return `${date(from, zone)}, ${clock(from, zone)} – ${end}`;
}

/** What a place of a chart is called. */
export function place(ms: number, cut: Range['cut'], zone: string): string {
  if (cut === 'month') return month(ms, zone);
  if (cut === 'week') return `week of ${dayOfYear(ms, zone)}`;
  if (cut === 'day') return weekday(ms, zone);
  if (cut !== 'hour' && cut.sliceMs < 60_000) return seconds(ms, zone);
  return `${weekday(ms, zone)}, ${clock(ms, zone)}`;
}

/** `just now`, `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`. */
export function ago(ms: number, now: number): string {
  const past = Math.max(0, Math.round((now - ms) / 1000));
  if (past < 5) return 'just now';
  if (past < 60) return `${past} s ago`;
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86_400) return `${Math.floor(past / 3600)} h ago`;
  return `${Math.floor(past / 86_400)} d ago`;
}
