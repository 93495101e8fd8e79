// Filters survive the address and become what the API takes.
import { expect, test } from 'vitest';
import { formatFilter, negated, only, opsOf, parseFilter, queryFilter, withFilter } from './filters.ts';

test('reads what it writes', () => {
  for (const text of [
    'command:eq:cargo build',
    'labels.a:b:ne:x:y',
    'status:in:failure,timeout',
    'host:exists:false',
    'command:eq:eq:ne',
    'command_line:prefix:a\nb',
  ]) {
    const filter = parseFilter(text);
    expect(filter && formatFilter(filter)).toBe(text);
  }
  expect(parseFilter('labels.a:b:ne:x:y')).toEqual({ field: 'labels.a:b', op: 'ne', value: 'x:y' });
  expect(parseFilter('host:exists')).toEqual({ field: 'host', op: 'exists', value: 'true' });
});

test('leaves out what is no filter', () => {
  for (const text of ['', 'command', 'command:like:x', ':eq:x', 'command:eq']) {
    expect(parseFilter(text)).toBeUndefined();
  }
});

test('numbers are numbers and words stay words', () => {
  const json = (text: string) => queryFilter(parseFilter(text)!).value;
  expect(json('duration_ms:gte:1000')).toBe(1000);
  expect(json('values.tokens:in:1, 2')).toEqual([1, 2]);
  expect(json('command:eq:7')).toBe('7');
  expect(json('host:exists:false')).toBe(false);
  expect(json('duration_ms:gt:soon')).toBe('soon');
});

test('a drill-down into nothing asks for what is absent', () => {
  expect(only('team_id', null)).toEqual({ field: 'team_id', op: 'exists', value: 'false' });
  expect(only('team_id', 'core')).toEqual({ field: 'team_id', op: 'eq', value: 'core' });
});

test('one `eq` a field, and nothing twice', () => {
  const a = only('command', 'a');
  const b = only('command', 'b');
  expect(withFilter([a], b)).toEqual([b]);
  const not = negated(a)!;
  expect(withFilter([not, b], a)).toEqual([not, a]);
  expect(withFilter([not], not)).toEqual([not]);
});

test('negation twice is where it began, for every operator that has one', () => {
  for (const field of ['command', 'duration_ms']) {
    for (const op of opsOf(field)) {
      const filter = { field, op, value: op === 'exists' ? 'true' : '5' };
      const other = negated(filter);
      if (other) expect(negated(other)).toEqual(filter);
    }
  }
});
