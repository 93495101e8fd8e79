// Numbers for people: short where they stand, exact in the title.

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 3 });

/** Three significant digits, without the zeros that they would add behind the point. */
function three(value: number): string {
  return String(Number(value.toPrecision(3)));
}

const STEPS = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** `987`, `12.3k`, `4.56M`; `–` for nothing. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  for (const [step, unit] of STEPS) {
    // 999,950 would be written `1000k`.
    if (size >= step * 0.9995 && size >= 1000) return three(value / step) + unit;
  }
  return Number.isInteger(value) ? String(value) : three(value);
}

/** Every digit, in groups: `12,345`. */
export function exact(value: number | null | undefined): string {
  return value === null || value === undefined ? 'none' : grouped.format(value);
}

/** `0.4 ms`, `12 ms`, `1.2 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 0.95) return `${Math.max(Number(ms.toFixed(3)), 0.001)} ms`;
  if (ms < 999.5) return `${ms < 9.95 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  if (ms < 59_950) return `${ms < 9_950 ? (ms / 1000).toFixed(1) : Number((ms / 1000).toFixed(1))} s`;
  return pair(ms);
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

const LARGE = [
  ['d', 172_800_000, 86_400_000],
  ['h', 5_400_000, 3_600_000],
  ['min', 90_000, 60_000],
] as const;

/** The same in one unit, for columns and axes: `1.2 s`, `3.1 min`, `14 h`. */
export function durationBrief(ms: number | null | undefined): string {
  for (const [unit, from, size] of LARGE) {
    if (typeof ms !== 'number' || ms < from) continue;
    const value = ms / size;
    return `${exact(value < 99.5 ? Number(value.toFixed(1)) : Math.round(value))} ${unit}`;
  }
  return typeof ms === 'number' && ms >= 59_950 ? `${Math.round(ms / 1000)} s` : duration(ms);
}

/** The two largest units, the second one rounded. */
function pair(ms: number): string {
  const largest = (seconds: number) => UNITS.findIndex(([, size]) => seconds >= size);
  const grain = UNITS[largest(ms / 1000) + 1]?.[1] ?? 1;
  // Rounding may reach the next unit: 23 h 59 min 59 s is a day.
  const seconds = Math.round(ms / 1000 / grain) * grain;
  const at = largest(seconds);
  const [unit, size] = UNITS[at] ?? ['s', 1];
  const [lesser, lesserSize] = UNITS[at + 1] ?? ['s', size];
  const rest = Math.round((seconds % size) / lesserSize);
  return `${exact(Math.floor(seconds / size))} ${unit}${rest ? ` ${rest} ${lesser}` : ''}`;
}

/** `98.7 %`; never `100 %` unless it is. */
export function percent(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined) return '–';
  if (ratio === 0 || ratio === 1) return `${ratio * 100} %`;
  const digits = ratio > 0.9995 || ratio < 0.0005 ? 2 : 1;
  const limit = 10 ** -digits;
  return `${Math.min(Math.max(ratio * 100, limit), 100 - limit).toFixed(digits)} %`;
}

/** How `now` differs from `before`: a sign, a text, and nothing where there is nothing to compare. */
export interface Change {
  sign: -1 | 0 | 1;
  text: string;
}

/** The relative change, `+12 %`. */
export function change(now: number | null | undefined, before: number | null | undefined): Change | undefined {
  if (typeof now !== 'number' || typeof before !== 'number' || before === 0) return undefined;
  const ratio = (now - before) / Math.abs(before);
  if (ratio >= 9.995) return { sign: 1, text: `×${three(now / before)}` };
  const size = Math.abs(ratio) * 100;
  const text = size < 9.95 ? size.toFixed(1) : String(Math.round(size));
  if (Number(text) === 0) return { sign: 0, text: '±0 %' };
  return ratio > 0 ? { sign: 1, text: `+${text} %` } : { sign: -1, text: `−${text} %` };
}

/** The change of a share, in percentage points. */
export function points(now: number | null | undefined, before: number | null | undefined): Change | undefined {
  if (typeof now !== 'number' || typeof before !== 'number') return undefined;
  const difference = (now - before) * 100;
  const text = Math.abs(difference).toFixed(1);
  if (Number(text) === 0) return { sign: 0, text: '±0 pp' };
  return difference > 0 ? { sign: 1, text: `+${text} pp` } : { sign: -1, text: `−${text} pp` };
}

/** `1 run`, `12.3k runs`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
