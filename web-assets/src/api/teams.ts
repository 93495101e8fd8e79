// Teams of the tenant, and who is in them.
import { request, requestTagged, type Tagged } from './client.ts';
import { pageQuery } from './listed.svelte.ts';
import type { Page } from './types.ts';
import type { Account } from './users.ts';

export interface Team {
  id: string;
  name: string;
  /** How executions name the team. */
  reported_as: string[];
  created_at: string;
}

export interface TeamChange {
  name: string;
  reported_as: string[];
}

const at = (id: string) => `/teams/${encodeURIComponent(id)}`;

export function listTeams(signal?: AbortSignal, cursor?: string): Promise<Page<Team>> {
  return request(`/teams${pageQuery(cursor)}`, { signal });
}

/** As many teams as can be chosen from at once. */
const CHOICE_MAX = 1000;

export async function everyTeam(signal?: AbortSignal): Promise<Team[]> {
  return (await request<Page<Team>>(`/teams?limit=${CHOICE_MAX}`, { signal })).items;
}

export function readTeam(id: string, signal?: AbortSignal): Promise<Tagged<Team>> {
  return requestTagged(at(id), { signal });
}

export function createTeam(team: TeamChange): Promise<Team> {
  return request('/teams', { method: 'POST', body: team });
}

export function changeTeam(id: string, team: TeamChange, ifMatch?: string): Promise<Team> {
  return request(at(id), { method: 'PATCH', body: team, ifMatch });
}

export function removeTeam(id: string): Promise<void> {
  return request(at(id), { method: 'DELETE' });
}

export function listMembers(id: string, signal?: AbortSignal, cursor?: string): Promise<Page<Account>> {
  return request(`${at(id)}/members${pageQuery(cursor)}`, { signal });
}

export function addMember(id: string, user: string): Promise<Account> {
  return request(`${at(id)}/members/${encodeURIComponent(user)}`, { method: 'PUT' });
}

export function takeOutMember(id: string, user: string): Promise<void> {
  return request(`${at(id)}/members/${encodeURIComponent(user)}`, { method: 'DELETE' });
}
