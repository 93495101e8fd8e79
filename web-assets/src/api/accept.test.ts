// A link that was handed over says its token and nothing else.
import { expect, test } from 'vitest';
import { tokenOf } from './accept.ts';

test('the token stands behind the hash', () => {
  for (const [hash, token] of [
    ['#token=eml_abc-_1', 'eml_abc-_1'],
    ['#token=', ''],
    ['#', ''],
    ['', ''],
    ['#x=1&token=eml_a', 'eml_a'],
  ] as const) {
    expect(tokenOf(hash)).toBe(token);
  }
});
