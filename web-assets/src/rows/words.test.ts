// What a policy says is what it means, and a preset is known by what it says.
import { expect, test } from 'vitest';
import { COUNTED, type RowPolicy, SIGHTS } from '../api/policy.ts';
import { copyOf, presetOf, PRESETS, sentenceOf } from './words.ts';

const [open, strict] = PRESETS.map(({ rules }) => rules);
if (!open || !strict) throw new Error('there are two presets');

test('each cell has its sentence', () => {
  const said = SIGHTS.flatMap((rows) => COUNTED.map((aggregates) => sentenceOf('member', { rows, aggregates })));
  expect(said).toEqual([
    'Members see every row; aggregates over everything.',
    'Members see every row; aggregates over everything.',
    'Members see their own rows and those of their teams; aggregates over everything.',
    'Members see their own rows and those of their teams; aggregates over the same rows.',
    'Members see their own rows; aggregates over everything.',
    'Members see their own rows; aggregates over the same rows.',
    'Members see no rows; aggregates over everything.',
    'Members see no rows; aggregates over nothing.',
  ]);
  expect(sentenceOf('manager', strict.manager)).toMatch(/^Managers see /);
});

test('a preset is known by its cells', () => {
  expect([open, strict].map((rules) => presetOf(rules)?.name)).toEqual(['Open', 'Strict']);
  const changed = copyOf(strict);
  changed.manager.aggregates = 'all';
  expect(presetOf(changed)).toBeUndefined();
});

test('what is sent are the roles alone, and presets stay what they are', () => {
  const policy: RowPolicy = { preset: 'open', ...open };
  const sent = copyOf(policy);
  sent.viewer.rows = 'none';
  expect(sent).toEqual({ ...open, viewer: { rows: 'none', aggregates: 'all' } });
  expect(open.viewer.rows).toBe('all');
  expect(open.member.rows).toBe('all');
});
