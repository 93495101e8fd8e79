// Only what one may see is shown; whoever may see none of it has no administration.
import { expect, test } from 'vitest';
import { adminViewsOf, maySee } from './ways.ts';

const may = (...held: string[]) => (permission: string) => held.includes(permission);

test('views follow the permissions', () => {
  expect(adminViewsOf(may())).toEqual([]);
  expect(adminViewsOf(may('users.read'))).toEqual(['users', 'teams', 'roles']);
  expect(adminViewsOf(may('keys.manage', 'audit.read'))).toEqual(['keys', 'audit']);
  expect(maySee('runs', may())).toBe(true);
  expect(maySee('quarantine', may())).toBe(false);
});
