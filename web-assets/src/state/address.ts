// The address: everything that a link to the page says, read from it and written into it.
import { type Filter, formatFilter, parseFilter } from './filters.ts';
import { DEFAULT_RANGE, isPreset, type RangeChoice } from './range.ts';
import { pathOf, type View, viewAt } from './views.ts';
import { isZone } from './zones.ts';

export type ZoneChoice = 'browser' | 'tenant' | (string & {});

export interface Sort {
  key: string;
  desc: boolean;
}

export interface Address {
  view: View;
  range: RangeChoice;
  zone: ZoneChoice;
  filters: Filter[];
  /** Per table, where it is not its usual order. */
  sorts: Record<string, Sort>;
  log: boolean;
  /** The open run; `ts` selects among those that share an id. */
  run: { id: string; ts?: string } | undefined;
  /** What is open of the view's list: an id, or `new`. */
  open: string | undefined;
}

/** Reads an address; what makes no sense in it is left out. */
export function parseAddress(url: URL): Address {
  const params = url.searchParams;
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/+$/, '') : url.pathname;
  const zone = params.get('tz') ?? 'browser';
  const id = params.get('run');
  const ts = params.get('run_ts');
  const sorts: Record<string, Sort> = {};
  for (const [name, value] of params) {
    const table = /^sort_(\w+)$/.exec(name)?.[1];
    const sort = /^(-?)(.+)$/.exec(value);
    if (table && sort) sorts[table] = { key: sort[2] ?? '', desc: sort[1] === '-' };
  }
  return {
    view: viewAt(path),
    range: readRange(params),
    zone: zone === 'browser' || zone === 'tenant' || isZone(zone) ? zone : 'browser',
    filters: params.getAll('f').flatMap((text) => parseFilter(text) ?? []),
    sorts,
    log: params.get('log') === '1',
    run: id === null ? undefined : { id, ...(ts === null ? {} : { ts }) },
    open: params.get('open') || undefined,
  };
}

function readRange(params: URLSearchParams): RangeChoice {
  const preset = params.get('range');
  if (preset !== null && isPreset(preset)) return { preset };
  const [from, to] = [Date.parse(params.get('from') ?? ''), Date.parse(params.get('to') ?? '')];
  return from < to ? { from, to } : DEFAULT_RANGE;
}

/** Writes an address as path and query; what is usual is left out. */
export function formatAddress(address: Address): string {
  const query: [string, string][] = [];
  const { range } = address;
  if ('from' in range) {
    query.push(['from', shortTime(range.from)], ['to', shortTime(range.to)]);
  } else if ('preset' in DEFAULT_RANGE && range.preset !== DEFAULT_RANGE.preset) {
    query.push(['range', range.preset]);
  }
  if (address.zone !== 'browser') query.push(['tz', address.zone]);
  for (const filter of address.filters) query.push(['f', formatFilter(filter)]);
  for (const [table, { key, desc }] of Object.entries(address.sorts)) {
    query.push([`sort_${table}`, `${desc ? '-' : ''}${key}`]);
  }
  if (address.log) query.push(['log', '1']);
  if (address.run) {
    query.push(['run', address.run.id]);
    if (address.run.ts !== undefined) query.push(['run_ts', address.run.ts]);
  }
  if (address.open !== undefined) query.push(['open', address.open]);
  const text = query.map(([name, value]) => `${name}=${encode(value)}`).join('&');
  return pathOf(address.view) + (text ? `?${text}` : '');
}

/** Percent-encodes only what a query needs, so that an address can be read. */
function encode(value: string): string {
  return encodeURIComponent(value).replace(/%(?:3A|2F|2C|40)/g, decodeURIComponent).replace(/%20/g, '+');
}

function shortTime(ms: number): string {
  return new Date(ms).toISOString().replace(/(?::00)?\.000Z$/, 'Z');
}
