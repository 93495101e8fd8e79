// The second factor of oneself.
import { request } from './client.ts';

export interface OtpState {
  is_set_up: boolean;
  recovery_codes_left: number;
  /** The tenant demands one. */
  is_demanded: boolean;
}

/** What an app needs to make codes. */
export interface Enrolment {
  /** Base32 (RFC 4648). */
  secret: string;
  uri: string;
  qr_svg: string;
  expires_at: string;
}

export interface RecoveryCodes {
  recovery_codes: string[];
}

/** What proves that it is oneself: a code of the app, a recovery code, or the password. */
export interface Proof {
  code?: string;
  password?: string;
}

export function otpState(signal?: AbortSignal): Promise<OtpState> {
  return request('/auth/otp', { signal });
}

/** Begins to set one up; with a password where one signed in too long ago. */
export function beginOtp(password?: string): Promise<Enrolment> {
  return request('/auth/otp', { method: 'POST', body: password === undefined ? {} : { password } });
}

export function confirmOtp(code: string): Promise<RecoveryCodes> {
  return request('/auth/otp', { method: 'POST', body: { code } });
}

export function removeOtp(proof: Proof): Promise<void> {
  return request('/auth/otp', { method: 'DELETE', body: proof });
}

/** A code as it was typed: apps and people put spaces into it. */
export function codeOf(typed: string): string {
  return typed.replace(/\s+/g, '');
}

/** An image's address with the image in it, so that it is fetched from nowhere. */
export function imageOf(svg: string): string {
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
