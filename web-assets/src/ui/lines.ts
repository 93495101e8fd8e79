// Lists of words as one fills them in: one a line.

/** The words of a text, each once, in the order of the text. */
export function wordsOf(text: string): string[] {
  return [...new Set(text.split('\n').map((line) => line.trim()))].filter((line) => line !== '');
}

export function linesOf(words: readonly string[]): string {
  return words.join('\n');
}
