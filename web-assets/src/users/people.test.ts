// What is sent of a user is what was changed, and nothing else.
import { expect, test } from 'vitest';
import type { Account } from '../api/users.ts';
import { changeOf, stateOf, teamNames } from './people.ts';

const ada: Account = {
  id: 'a',
  email: 'ada@example.org',
  role: 'member',
  platform: false,
  disabled: false,
  has_password: true,
  has_otp: false,
  reported_as: ['ada'],
  teams: ['t1', 't2'],
  created_at: '2026-11-26T10:00:00.000Z',
};

test('only what is another is sent', () => {
  expect(changeOf(ada, { role: 'member', teams: ['t2', 't1'], reported_as: ['ada'] })).toEqual({});
  expect(changeOf(ada, { role: 'admin', teams: ['t1'], reported_as: [] })).toEqual({
    role: 'admin',
    teams: ['t1'],
    reported_as: [],
  });
});

test('who can sign in is told', () => {
  expect(stateOf(ada)).toBe('active');
  expect(stateOf({ ...ada, has_password: false })).toBe('no password');
  expect(stateOf({ ...ada, has_password: false, disabled: true })).toBe('disabled');
});

test('teams are called by their names', () => {
  const names = new Map([['t1', 'Platform'], ['t3', 'Web']]);
  expect(teamNames(['t1', 't2', 't3'], names)).toBe('Platform, Web');
});
