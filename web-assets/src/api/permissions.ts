// What whoever is signed in may do, as the access token says it. The server decides; knowing it here spares people
// what they would be refused.

/** The permissions that the page asks about. */
export type Permission =
  | 'audit.read'
  | 'keys.manage'
  | 'platform.tenants'
  | 'quarantine.manage'
  | 'quarantine.read'
  | 'sso.manage'
  | 'tenant.manage'
  | 'tenant.read'
  | 'users.manage'
  | 'users.read';

/** The claim `permissions` of an access token; none where it cannot be read. */
export function permissionsOf(token: string): ReadonlySet<string> {
  const [, claims = ''] = token.split('.');
  try {
    // base64url (RFC 7515 §2); the words are ASCII, whatever the other claims have.
    const { permissions } = JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))) as Record<string, unknown>;
    return new Set(Array.isArray(permissions) ? permissions.filter((word) => typeof word === 'string') : []);
  } catch {
    return new Set();
  }
}
