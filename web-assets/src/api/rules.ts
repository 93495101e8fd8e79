// What the tenant demands of whoever signs in with a password.
import { request, requestTagged, type Tagged } from './client.ts';

export interface SignInRules {
  require_otp: boolean;
}

export function readRules(signal?: AbortSignal): Promise<Tagged<SignInRules>> {
  return requestTagged('/sign-in-rules', { signal });
}

export function changeRules(rules: SignInRules, ifMatch?: string): Promise<SignInRules> {
  return request('/sign-in-rules', { method: 'PATCH', body: rules, ifMatch });
}
