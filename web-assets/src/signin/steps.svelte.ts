// The steps of signing in with a password: the password, then what is demanded beside it.
import type { Enrolment, RecoveryCodes } from '../api/otp.ts';
import { Problem } from '../api/problem.ts';
import { type Credentials, post, session } from '../api/session.svelte.ts';
import type { Login } from '../api/types.ts';

export type Step =
  | { kind: 'password' }
  | { kind: 'code'; credentials: Credentials }
  | { kind: 'enrol'; credentials: Credentials; enrolment: Enrolment }
  /** Signed in, with recovery codes that are shown before anything else. */
  | { kind: 'codes'; codes: string[] };

const ENROL = '/api/v1/auth/otp/enrol';

class Steps {
  now = $state.raw<Step>({ kind: 'password' });

  /** Signs in, or finds out what is demanded beside the password. */
  async begin(credentials: Credentials): Promise<void> {
    try {
      await session.signIn(credentials);
    } catch (error) {
      const code = error instanceof Problem ? error.code : undefined;
      if (code === 'otp_required') this.now = { kind: 'code', credentials };
      else if (code === 'otp_enrolment_required') await this.beginEnrolment(credentials);
      else throw error;
    }
  }

  async code(credentials: Credentials, otp: string): Promise<void> {
    await session.signIn(credentials, otp);
    this.back();
  }

  async beginEnrolment(credentials: Credentials): Promise<void> {
    this.now = { kind: 'enrol', credentials, enrolment: await post<Enrolment>(ENROL, { ...credentials }) };
  }

  async enrol(credentials: Credentials, code: string): Promise<void> {
    const answer = await post<Login & RecoveryCodes>(ENROL, { ...credentials, code, cookie: true });
    this.now = { kind: 'codes', codes: answer.recovery_codes };
    session.take(answer);
  }

  /** To the beginning, without the password. */
  back(): void {
    this.now = { kind: 'password' };
  }
}

export const steps = new Steps();
