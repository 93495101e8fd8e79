// What is offered for pasting is safe to paste.
import { expect, test } from 'vitest';
import { fetchCa, quoted, reportOne } from './curl.ts';

test('shell words', () => {
  expect(quoted('https://emx.example:8443/ca.pem')).toBe('https://emx.example:8443/ca.pem');
  expect(quoted("a'b c")).toBe(`'a'\\''b c'`);
});

test('the lines name this server and this key', () => {
  const line = reportOne('https://emx.example', 'emx_k');
  expect(line).toContain('Authorization: Bearer emx_k');
  expect(line.endsWith('https://emx.example/api/v1/executions')).toBe(true);
  expect(fetchCa('https://emx.example')).toBe('curl -k https://emx.example/ca.pem -o ca.pem');
});
