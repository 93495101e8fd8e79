// Whatever was sent has a name and a text.
import { expect, test } from 'vitest';
import type { Quarantined } from '../api/quarantine.ts';
import { nameOf, newestFirst, textOf } from './entries.ts';

const entry = (raw: unknown, received_at = '2026-03-01T00:00:00.000Z'): Quarantined => ({
  id: received_at,
  received_at,
  origin: 'api',
  code: 'ts_ahead',
  pointer: '/ts',
  detail: 'the time lies ahead',
  raw,
});

test('a run is called by its command, and shown a field a line', () => {
  expect(nameOf(entry({ command: 'make' }))).toBe('make');
  expect(textOf(entry({ command: 'make' }))).toBe('{\n  "command": "make"\n}');
});

test('what is no run has a name too', () => {
  expect(nameOf(entry('a line'))).toBe('Text that is no run');
  expect(textOf(entry('a line'))).toBe('a line');
  for (const raw of [null, {}, { command: 7 }, []]) expect(nameOf(entry(raw))).toBe('A run without a command');
});

test('the newest come first', () => {
  const [older, newer] = [entry({}, '2026-03-01T00:00:00.000Z'), entry({}, '2026-03-02T00:00:00.000Z')];
  expect(newestFirst([older, newer])).toEqual([newer, older]);
});
