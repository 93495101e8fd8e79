// The views of administration that somebody may see.
import type { Permission } from '../api/permissions.ts';
import { ADMIN_VIEWS, type AdminView, permissionFor, type View } from '../state/views.ts';

type May = (permission: Permission) => boolean;

export function maySee(view: View, may: May): boolean {
  const permission = permissionFor(view);
  return permission === undefined || may(permission);
}

export function adminViewsOf(may: May): AdminView[] {
  return ADMIN_VIEWS.filter((view) => maySee(view, may));
}
