// Parameters of lists of executions.
import { expect, test } from 'vitest';
import { filterParam, rowsParams } from './executions.ts';

test('short where it can be, JSON where it must be', () => {
  expect(filterParam({ field: 'command', op: 'eq', value: 'cargo build' })).toBe('command:eq:cargo build');
  expect(filterParam({ field: 'duration_ms', op: 'gte', value: '1000' })).toBe('duration_ms:gte:1000');
  for (const [field, value] of [
    ['command', 'a=b'],
    ['command', '{}'],
    ['labels.a:b', 'x'],
  ] as const) {
    expect(JSON.parse(filterParam({ field, op: 'eq', value }))).toEqual({ field, op: 'eq', value });
  }
  expect(JSON.parse(filterParam({ field: 'host', op: 'in', value: 'a,b' })).value).toEqual(['a', 'b']);
});

test('a page is asked with everything that was chosen', () => {
  const text = rowsParams({ from: 0, to: 1000, filters: [{ field: 'host', op: 'eq', value: 'a' }], limit: 50, cursor: 'c+d' });
  expect(text).toBe(
    'from=1970-01-01T00%3A00%3A00.000Z&to=1970-01-01T00%3A00%3A01.000Z&filter=host%3Aeq%3Aa&limit=50&cursor=c%2Bd',
  );
});
