// Entries of the log in words.
import { expect, test } from 'vitest';
import type { AuditEntry } from '../api/audit.ts';
import { factsOf, whatOf, whoOf } from './entries.ts';

const entry: AuditEntry = {
  seq: 7,
  at: '2026-11-26T10:00:00.000Z',
  actor: 'user:a',
  actor_name: null,
  action: 'api_key.create',
  target: '',
  outcome: 'done',
  count: 1,
  address: null,
  request_id: null,
  before: null,
  after: { name: 'ci' },
  hash: 'ab',
};

test('who it was is told as people call them', () => {
  expect(whoOf({ ...entry, actor_name: 'you@example.org' })).toBe('you@example.org');
  expect(whoOf(entry)).toBe('user:a');
  expect(whoOf({ ...entry, actor: 'operator' })).toBe('At the machine');
});

test('what happened several times says how often', () => {
  expect(whatOf(entry)).toBe('api_key.create');
  expect(whatOf({ ...entry, count: 1200 })).toBe('api_key.create × 1,200');
});

test('only facts that say something are shown', () => {
  const facts = factsOf(entry).map(([name]) => name);
  expect(facts).toEqual(['Entry', 'Actor', 'After', 'SHA-256']);
});
