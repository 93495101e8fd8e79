// The views: where each is, what it is called, and what one must be allowed to do to see something there.
import type { Permission } from '../api/permissions.ts';

interface Description {
  name: string;
  path: string;
  permission?: Permission;
}

/** What everybody uses, in the order of the navigation. */
const DAILY = {
  overview: { name: 'Overview', path: '/' },
  runs: { name: 'Runs', path: '/runs' },
  quarantine: { name: 'Quarantine', path: '/quarantine', permission: 'quarantine.read' },
} as const satisfies Record<string, Description>;

/** What is administered, in the order of the navigation. */
const ADMINISTERED = {
  users: { name: 'Users', path: '/users', permission: 'users.read' },
  teams: { name: 'Teams', path: '/teams', permission: 'users.read' },
  roles: { name: 'Roles', path: '/roles', permission: 'users.read' },
  access: { name: 'Sign-in', path: '/sign-in', permission: 'tenant.read' },
  keys: { name: 'API keys', path: '/keys', permission: 'keys.manage' },
  tenant: { name: 'This tenant', path: '/tenant', permission: 'tenant.read' },
  limits: { name: 'Limits', path: '/limits', permission: 'tenant.read' },
  audit: { name: 'Audit', path: '/audit', permission: 'audit.read' },
  tenants: { name: 'Tenants', path: '/tenants', permission: 'platform.tenants' },
} as const satisfies Record<string, Description>;

/** What is reached otherwise. */
const OTHERS = {
  account: { name: 'Your account', path: '/account' },
  accept: { name: 'Choose a password', path: '/accept' },
} as const satisfies Record<string, Description>;

const ALL: Record<string, Description> = { ...DAILY, ...ADMINISTERED, ...OTHERS };

export type DailyView = keyof typeof DAILY;
export type AdminView = keyof typeof ADMINISTERED;
export type View = DailyView | AdminView | keyof typeof OTHERS | 'missing';

export const DAILY_VIEWS = Object.keys(DAILY) as DailyView[];
export const ADMIN_VIEWS = Object.keys(ADMINISTERED) as AdminView[];

export function isAdminView(view: View): view is AdminView {
  return view in ADMINISTERED;
}

export const nameOf = (view: View): string => ALL[view]?.name ?? 'Not found';
export const pathOf = (view: View): string => ALL[view]?.path ?? '/';
export const permissionFor = (view: View): Permission | undefined => ALL[view]?.permission;

/** The view at a path. */
export function viewAt(path: string): View {
  const found = Object.entries(ALL).find(([, description]) => description.path === path);
  return (found?.[0] as View | undefined) ?? 'missing';
}
