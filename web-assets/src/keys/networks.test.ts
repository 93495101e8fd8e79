// Networks are taken however they are parted, and none of many is hidden.
import { expect, test } from 'vitest';
import { atAGlance, networksOf } from './networks.ts';

test('lines, commas, semicolons and spaces part networks, each once', () => {
  expect(networksOf(' 10.0.0.0/8, 2001:db8::/32\r\n192.0.2.1;\n\n10.0.0.0/8,')).toEqual([
    '10.0.0.0/8',
    '2001:db8::/32',
    '192.0.2.1',
  ]);
  expect(networksOf(' ,\n')).toEqual([]);
});

test('what is not a network is left to the server', () => {
  expect(networksOf('10.0.0.1/8 everywhere')).toEqual(['10.0.0.1/8', 'everywhere']);
});

test('some are said at once, the others counted', () => {
  expect(atAGlance([])).toBeUndefined();
  expect(atAGlance(['a', 'b'])).toEqual({ said: 'from a, b', others: [] });
  expect(atAGlance(['a', 'b', 'c', 'd'])).toEqual({ said: 'from a, b and 2 more', others: ['c', 'd'] });
});
