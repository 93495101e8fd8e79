// Time zones: local times to instants and back, by what the browser knows of IANA's database.

const DAY_MS = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string): Intl.DateTimeFormat {
  let found = formats.get(zone);
  if (!found) {
    found = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'iso8601',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formats.set(zone, found);
  }
  return found;
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

/** Names that people look for and that some browsers know, but list under an older one only. */
const RENAMED = [
  'America/Argentina/Buenos_Aires',
  'America/Nuuk',
  'Asia/Ho_Chi_Minh',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Asia/Yangon',
  'Atlantic/Faroe',
  'Europe/Kyiv',
  'Pacific/Kanton',
];

/** Every zone that can be chosen, by name. */
export function allZones(): string[] {
  return [...new Set(['UTC', ...Intl.supportedValuesOf('timeZone'), ...RENAMED.filter(isZone)])].sort();
}

/** What a clock in `zone` shows at `ms`, as if it were UTC. */
export function wallClock(ms: number, zone: string): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of format(zone).formatToParts(ms)) parts[type] = Number(value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) + (((ms % 1000) + 1000) % 1000);
}

/** How far `zone` is ahead of UTC at `ms`, in milliseconds. */
export function offsetAt(ms: number, zone: string): number {
  return wallClock(ms, zone) - ms;
}

/** The instant at which a clock in `zone` shows `wall`: the earlier one where it shows it twice, the one as far behind the gap where it never does. */
export function instantAt(wall: number, zone: string): number {
  const offsets = [offsetAt(wall - DAY_MS, zone), offsetAt(wall + DAY_MS, zone)];
  const [before = 0] = offsets;
  const fitting = offsets
    .map((offset) => wall - offset)
    .filter((ms) => wallClock(ms, zone) === wall);
  return fitting.length > 0 ? Math.min(...fitting) : wall - before;
}

export type Width = 'hour' | 'day' | 'week' | 'month';

/** The first instant of the bucket of `zone` in which `ms` lies. */
export function bucketStart(ms: number, width: Width, zone: string): number {
  const wall = new Date(wallClock(ms, zone));
  if (width === 'hour') {
    return ms - (wall.getUTCMinutes() * 60_000 + wall.getUTCSeconds() * 1000 + wall.getUTCMilliseconds());
  }
  wall.setUTCHours(0, 0, 0, 0);
  if (width === 'week') wall.setUTCDate(wall.getUTCDate() - ((wall.getUTCDay() + 6) % 7));
  if (width === 'month') wall.setUTCDate(1);
  return instantAt(wall.getTime(), zone);
}

/** The first instant of the bucket after that of `ms`. */
export function nextBucket(ms: number, width: Width, zone: string): number {
  if (width === 'hour') return bucketStart(ms, width, zone) + 3_600_000;
  const wall = new Date(wallClock(bucketStart(ms, width, zone), zone));
  wall.setUTCHours(0, 0, 0, 0);
  if (width === 'month') wall.setUTCMonth(wall.getUTCMonth() + 1, 1);
  else wall.setUTCDate(wall.getUTCDate() + (width === 'week' ? 7 : 1));
  return instantAt(wall.getTime(), zone);
}

/** `UTC+2`, `UTC−3:30`: how far the zone is ahead. */
export function offsetName(ms: number, zone: string): string {
  const minutes = Math.round(offsetAt(ms, zone) / 60_000);
  if (minutes === 0) return 'UTC';
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
}

/** The last value that a `datetime-local` field may have: the API's times have years of four digits. */
export const LAST_LOCAL_FIELD = '9999-12-30T23:59';

/** The value of a `datetime-local` field for an instant. */
export function toLocalField(ms: number, zone: string): string {
  return new Date(wallClock(ms, zone)).toISOString().slice(0, 16);
}

/** The instant that a `datetime-local` field names in `zone`. */
export function fromLocalField(text: string, zone: string): number | undefined {
  const wall = Date.parse(`${text}Z`);
  return Number.isNaN(wall) ? undefined : instantAt(wall, zone);
}
