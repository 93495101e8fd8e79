// A line is a word, whatever is around it.
import { expect, test } from 'vitest';
import { linesOf, wordsOf } from './lines.ts';

test('one word a line, each once', () => {
  expect(wordsOf('ada\n\n  ada b, c \r\nada\n')).toEqual(['ada', 'ada b, c']);
  expect(wordsOf(' \n')).toEqual([]);
  expect(wordsOf(linesOf(['a', 'b c']))).toEqual(['a', 'b c']);
});
