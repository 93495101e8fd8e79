// Filters: conditions on executions, as the address, the API's questions and people write them.

export const OPS = ['eq', 'ne', 'in', 'prefix', 'exists', 'gt', 'gte', 'lt', 'lte'] as const;
export type Op = (typeof OPS)[number];

export interface Filter {
  field: string;
  op: Op;
  /** What stands in the address; for `in` a comma list, for `exists` `true` or `false`. */
  value: string;
}

/** The fields offered by name; `labels.*` and `values.*` can be typed. */
export const FIELDS = [
  'command',
  'status',
  'actor',
  'user_id',
  'team_id',
  'project_id',
  'session_id',
  'host',
  'duration_ms',
  'exit_code',
  'command_line',
  'error',
] as const;

const NAMES: Record<string, string> = {
  user_id: 'user',
  team_id: 'team',
  project_id: 'project',
  session_id: 'session',
  duration_ms: 'duration',
  exit_code: 'exit code',
  command_line: 'command line',
};

/** A field as people call it. */
export function fieldName(field: string): string {
  return NAMES[field] ?? field.replace(/^(?:labels|values)\./, '');
}

const SIGNS: Record<Op, string> = {
  eq: 'is',
  ne: 'is not',
  in: 'is one of',
  prefix: 'begins with',
  exists: 'is known',
  gt: '>',
  gte: '≥',
  lt: '<',
  lte: '≤',
};

/** An operator as people say it. */
export function opName(op: Op, value = 'true'): string {
  return op === 'exists' && value === 'false' ? 'is unknown' : SIGNS[op];
}

export function isNumeric(field: string): boolean {
  return field === 'duration_ms' || field === 'exit_code' || field.startsWith('values.');
}

/** Whether its values can be counted and offered: whole lines are searched, not grouped. */
export function isGroupable(field: string): boolean {
  return !isNumeric(field) && field !== 'command_line' && field !== 'error' && field !== 'id';
}

/** The operators that the API takes for `field`. */
export function opsOf(field: string): readonly Op[] {
  return isNumeric(field)
    ? ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'exists']
    : ['eq', 'ne', 'in', 'prefix', 'exists'];
}

/** The filter that keeps the rows of one group; a group without a word is "unknown". */
export function only(field: string, value: string | null): Filter {
  return value === null || value === ''
    ? { field, op: 'exists', value: 'false' }
    : { field, op: 'eq', value };
}

/** The filter that keeps what this one drops, where one filter can say it. */
export function negated(filter: Filter): Filter | undefined {
  switch (filter.op) {
    case 'eq':
      return { ...filter, op: 'ne' };
    case 'ne':
      return { ...filter, op: 'eq' };
    case 'exists':
      return { ...filter, value: filter.value === 'false' ? 'true' : 'false' };
    case 'gt':
      return { ...filter, op: 'lte' };
    case 'lte':
      return { ...filter, op: 'gt' };
    case 'gte':
      return { ...filter, op: 'lt' };
    case 'lt':
      return { ...filter, op: 'gte' };
    default:
      return undefined;
  }
}

export function sameFilter(a: Filter, b: Filter): boolean {
  return a.field === b.field && a.op === b.op && a.value === b.value;
}

/** Adds a filter once; an `eq` on the same field takes the place of an earlier one, which could only contradict it. */
export function withFilter(filters: readonly Filter[], added: Filter): Filter[] {
  const kept = filters.filter(
    (f) => !sameFilter(f, added) && !(added.op === 'eq' && f.op === 'eq' && f.field === added.field),
  );
  return [...kept, added];
}

/** `field:op:value`, the form of the address and of the API's parameters. */
export function formatFilter({ field, op, value }: Filter): string {
  return `${field}:${op}:${value}`;
}

/** Reads `field:op:value`. The field ends before the first known operator between colons, as the server has it. */
export function parseFilter(text: string): Filter | undefined {
  const found = /^(.+?):(eq|ne|in|prefix|exists|gt|gte|lt|lte)(?::([^]*))?$/.exec(text);
  if (!found) return undefined;
  const [, field = '', op = 'eq', value] = found;
  if (value === undefined && op !== 'exists') return undefined;
  return { field, op: op as Op, value: value ?? 'true' };
}

export interface QueryFilter {
  field: string;
  op: Op;
  value: string | number | boolean | (string | number)[];
}

/** The filter as the API's JSON has it. */
export function queryFilter({ field, op, value }: Filter): QueryFilter {
  const one = (text: string): string | number => {
    const number = Number(text);
    return isNumeric(field) && text.trim() !== '' && Number.isFinite(number) ? number : text;
  };
  if (op === 'exists') return { field, op, value: value !== 'false' };
  if (op === 'in') return { field, op, value: value.split(',').map((item) => one(item.trim())) };
  return { field, op, value: one(value) };
}
