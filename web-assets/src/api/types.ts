// The shapes that the API answers with, as far as the page reads them.

export type Status = 'success' | 'failure' | 'timeout' | 'cancelled' | 'unknown';

export interface Execution {
  id: string;
  seq?: number;
  /** RFC 3339. */
  ts: string;
  command: string;
  command_line?: string;
  user_id?: string;
  team_id?: string;
  project_id?: string;
  session_id?: string;
  host?: string;
  duration_ms?: number;
  exit_code?: number;
  status: Status;
  actor: string;
  error?: string;
  labels?: Record<string, string>;
  values?: Record<string, number>;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface User {
  id: string;
  email: string;
  role: string;
  platform: boolean;
}

export interface Tenant {
  id: string;
  slug: string;
  time_zone: string;
}

export interface Login {
  access_token: string;
  expires_in: number;
  user: User;
  tenant: Tenant;
}

export interface ApiKey {
  id: string;
  name: string;
  role: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
  /** From where it is let in, in CIDR notation; none: from everywhere. */
  networks: string[];
}
