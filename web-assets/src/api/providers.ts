// Identity providers of the tenant, by which its people sign in.
import { request, requestTagged, type Tagged } from './client.ts';
import { pageQuery } from './listed.svelte.ts';
import type { Page } from './types.ts';

export type ProviderKind = 'oidc' | 'saml';
export type ProviderPreset = 'google' | 'entra' | 'okta';

/** What is said of a provider; `null` takes away what was said before. */
export interface ProviderBody {
  name: string;
  kind?: ProviderKind;
  preset?: ProviderPreset | null;
  roles: Record<string, string>;
  default_role: string | null;
  domains: string[];
  issuer?: string | null;
  domain?: string | null;
  tenant?: string | null;
  client_id?: string;
  client_secret?: string;
  scopes?: string[] | null;
  groups_claim?: string | null;
  idp_metadata?: string;
  idp_entity_id?: string;
  idp_sso_url?: string;
  idp_certificates?: string[];
  attributes?: { name_id?: string | null; email?: string | null; groups?: string | null };
}

/** A provider, and what it is to be told of this server. */
export interface Provider extends Omit<ProviderBody, 'client_secret' | 'idp_metadata'> {
  id: string;
  kind: ProviderKind;
  preset: ProviderPreset | null;
  created_at: string;
  redirect_uri?: string;
  acs_url?: string;
  sp_entity_id?: string;
  metadata_url?: string;
}

export interface TrialStep {
  name: string;
  passed: boolean;
  detail: string;
}

export interface Trial {
  verdict: 'accept' | 'refuse';
  reason: string | null;
  name_id: string | null;
  groups: string[];
  steps: TrialStep[];
}

const at = (id: string) => `/sso-providers/${encodeURIComponent(id)}`;

export function listProviders(signal?: AbortSignal, cursor?: string): Promise<Page<Provider>> {
  return request(`/sso-providers${pageQuery(cursor)}`, { signal });
}

export function readProvider(id: string, signal?: AbortSignal): Promise<Tagged<Provider>> {
  return requestTagged(at(id), { signal });
}

export function createProvider(body: ProviderBody): Promise<Provider> {
  return request('/sso-providers', { method: 'POST', body });
}

export function changeProvider(id: string, body: ProviderBody, ifMatch?: string): Promise<Provider> {
  return request(at(id), { method: 'PATCH', body, ifMatch });
}

export function removeProvider(id: string): Promise<void> {
  return request(at(id), { method: 'DELETE' });
}

/** Tries it step by step; with a SAML response says what would become of that. */
export function tryProvider(id: string, response?: string): Promise<Trial> {
  return request(`${at(id)}/check`, { method: 'POST', body: response === undefined ? {} : { response } });
}
