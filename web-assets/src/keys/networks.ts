// The networks that a key is let in from, as one writes and reads them.

/** Networks of a text, each once: lines, commas, semicolons and spaces part them. The server says which are none. */
export function networksOf(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/))].filter((word) => word !== '');
}

/** As many as are read at a glance. */
const GLANCE_MAX = 2;

/** What is said at once, and the networks beside; nothing of a key that is let in from everywhere. */
export function atAGlance(networks: readonly string[]): { said: string; others: readonly string[] } | undefined {
  if (networks.length === 0) return undefined;
  const others = networks.slice(GLANCE_MAX);
  const first = `from ${networks.slice(0, GLANCE_MAX).join(', ')}`;
  return { said: others.length === 0 ? first : `${first} and ${others.length} more`, others };
}
