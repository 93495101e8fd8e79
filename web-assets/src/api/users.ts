// Users of the tenant, as an administrator has them.
import { request, requestTagged, type Tagged } from './client.ts';
import { pageQuery } from './listed.svelte.ts';
import type { Page } from './types.ts';

export interface Account {
  id: string;
  email: string;
  role: string;
  /** Administers the platform. */
  platform: boolean;
  disabled: boolean;
  has_password: boolean;
  has_otp: boolean;
  /** How executions name the user. */
  reported_as: string[];
  /** Ids of teams. */
  teams: string[];
  created_at: string;
}

export interface NewAccount {
  email: string;
  role: string;
  reported_as: string[];
  teams: string[];
}

/** What is to be changed; what is absent stays. */
export interface AccountChange {
  role?: string;
  disabled?: boolean;
  reported_as?: string[];
  teams?: string[];
}

/** A link to hand over, by which a user chooses a password. */
export interface HandedOver {
  user: Account;
  purpose: 'invitation' | 'reset';
  link: string;
  expires_at: string;
}

const at = (id: string) => `/users/${encodeURIComponent(id)}`;

export function listUsers(signal?: AbortSignal, cursor?: string): Promise<Page<Account>> {
  return request(`/users${pageQuery(cursor)}`, { signal });
}

/** As many users as can be chosen from at once. */
const CHOICE_MAX = 1000;

export async function everyUser(signal?: AbortSignal): Promise<Account[]> {
  return (await request<Page<Account>>(`/users?limit=${CHOICE_MAX}`, { signal })).items;
}

export function readUser(id: string, signal?: AbortSignal): Promise<Tagged<Account>> {
  return requestTagged(at(id), { signal });
}

export function inviteUser(user: NewAccount): Promise<HandedOver> {
  return request('/users/invite', { method: 'POST', body: user });
}

export function changeUser(id: string, change: AccountChange, ifMatch?: string): Promise<Account> {
  return request(at(id), { method: 'PATCH', body: change, ifMatch });
}

export function removeUser(id: string): Promise<void> {
  return request(at(id), { method: 'DELETE' });
}

export function resetLink(id: string): Promise<HandedOver> {
  return request(`${at(id)}/reset`, { method: 'POST' });
}

export function resetOtp(id: string): Promise<void> {
  return request(`${at(id)}/otp`, { method: 'DELETE' });
}
