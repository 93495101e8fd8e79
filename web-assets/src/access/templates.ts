// The providers that one can choose from, and what has to be said of each.
import type { Provider, ProviderBody, ProviderKind, ProviderPreset } from '../api/providers.ts';
import { linesOf, wordsOf } from '../ui/lines.ts';

export interface Template {
  id: string;
  name: string;
  kind: ProviderKind;
  preset: ProviderPreset | null;
  /** The member that says which organisation is meant, of OpenID Connect. */
  realm?: { field: 'domain' | 'tenant' | 'issuer'; label: string; hint: string };
  /** What to do at the provider before. */
  before: string;
}

const DOMAIN = 'domain';

export const TEMPLATES: readonly Template[] = [
  {
    id: 'okta',
    name: 'Okta',
    kind: 'oidc',
    preset: 'okta',
    realm: { field: DOMAIN, label: 'Okta domain', hint: 'Such as acme.okta.com.' },
    before: 'At Okta, create an OIDC web application and add the groups claim “groups”.',
  },
  {
    id: 'google',
    name: 'Google Workspace',
    kind: 'oidc',
    preset: 'google',
    realm: { field: DOMAIN, label: 'Workspace domain', hint: 'Such as example.org; several with commas.' },
    before: 'In the Google Cloud console, create an OAuth client of the type web application.',
  },
  {
    id: 'entra',
    name: 'Microsoft Entra ID',
    kind: 'oidc',
    preset: 'entra',
    realm: { field: 'tenant', label: 'Directory (tenant) id', hint: 'A UUID, on the overview of the app registration.' },
    before: 'In the Entra admin center, register an application for the web and make a client secret.',
  },
  {
    id: 'oidc',
    name: 'Another OpenID provider',
    kind: 'oidc',
    preset: null,
    realm: { field: 'issuer', label: 'Issuer', hint: 'Exactly as the provider writes it, such as https://id.example.org.' },
    before: 'At the provider, register a confidential client for the code flow with PKCE.',
  },
  {
    id: 'okta-saml',
    name: 'Okta, by SAML',
    kind: 'saml',
    preset: 'okta',
    before: 'At Okta, create a SAML 2.0 application. Its addresses here are known once it is stored; change them there then.',
  },
  {
    id: 'entra-saml',
    name: 'Microsoft Entra ID, by SAML',
    kind: 'saml',
    preset: 'entra',
    before: 'In the Entra admin center, create an enterprise application of your own and choose SAML.',
  },
  {
    id: 'saml',
    name: 'Another SAML provider',
    kind: 'saml',
    preset: null,
    before: 'At the provider, create a service provider, and have it sign its assertions.',
  },
];

/** What a provider was made of. */
export function templateOf({ kind, preset }: Provider): Template {
  const fits = (template: Template) => template.kind === kind && template.preset === preset;
  return TEMPLATES.find(fits) ?? TEMPLATES.find((template) => template.kind === kind && template.preset === null)!;
}

/** What stands in the fields of the form, as text. */
export interface Draft {
  name: string;
  realm: string;
  client_id: string;
  client_secret: string;
  scopes: string;
  groups_claim: string;
  idp_metadata: string;
  name_id: string;
  email: string;
  groups: string;
  roles: { group: string; role: string }[];
  default_role: string;
  domains: string;
}

export function draftOf(template: Template, provider?: Provider): Draft {
  const realm = template.realm && provider?.[template.realm.field];
  return {
    name: provider?.name ?? (template.preset ? template.name.replace(/, by SAML$/, '') : ''),
    realm: realm ?? provider?.issuer ?? '',
    client_id: provider?.client_id ?? '',
    client_secret: '',
    scopes: (provider?.scopes ?? []).join(' '),
    groups_claim: provider?.groups_claim ?? '',
    idp_metadata: '',
    name_id: provider?.attributes?.name_id ?? '',
    email: provider?.attributes?.email ?? '',
    groups: provider?.attributes?.groups ?? '',
    roles: Object.entries(provider?.roles ?? {}).map(([group, role]) => ({ group, role })),
    default_role: provider ? (provider.default_role ?? '') : 'viewer',
    domains: linesOf(provider?.domains ?? []),
  };
}

/** What is sent for a draft: of a new provider all of it, of one that is there (`changes`) what may be another. */
export function bodyOf(template: Template, draft: Draft, changes: boolean): ProviderBody {
  const roles = draft.roles.map(({ group, role }) => [group.trim(), role] as const).filter(([group]) => group !== '');
  const body: ProviderBody = {
    name: draft.name.trim(),
    roles: Object.fromEntries(roles),
    default_role: draft.default_role || null,
    domains: wordsOf(draft.domains),
    ...(changes ? {} : { kind: template.kind, ...(template.preset ? { preset: template.preset } : {}) }),
  };
  return { ...body, ...(template.kind === 'oidc' ? ofOidc(template, draft, changes) : ofSaml(draft, changes)) };
}

/** What is empty is the usual: told by `null` where something else may stand there before. */
const optional = <T>(value: T | undefined, changes: boolean, name: string) =>
  value === undefined ? (changes ? { [name]: null } : {}) : { [name]: value };

function ofOidc({ realm }: Template, draft: Draft, changes: boolean): Partial<ProviderBody> {
  const scopes = draft.scopes.split(/[\s,]+/).filter((word) => word !== '');
  return {
    ...(realm ? { [realm.field]: draft.realm.trim() } : {}),
    client_id: draft.client_id.trim(),
    ...(draft.client_secret ? { client_secret: draft.client_secret } : {}),
    ...optional(scopes.length > 0 ? scopes : undefined, changes, 'scopes'),
    ...optional(draft.groups_claim.trim() || undefined, changes, 'groups_claim'),
  };
}

function ofSaml(draft: Draft, changes: boolean): Partial<ProviderBody> {
  const attributes = {
    ...optional(draft.name_id.trim() || undefined, changes, 'name_id'),
    ...optional(draft.email.trim() || undefined, changes, 'email'),
    ...optional(draft.groups.trim() || undefined, changes, 'groups'),
  };
  return {
    ...(draft.idp_metadata.trim() ? { idp_metadata: draft.idp_metadata } : {}),
    ...(Object.keys(attributes).length > 0 ? { attributes } : {}),
  };
}
