// What can go wrong with a request: the server's problems, and no answer at all.

/** What is wrong with one value that was sent. */
export interface Fault {
  /** JSON pointer (RFC 6901). */
  pointer: string;
  detail: string;
}

/** An answer of the server that is not the wanted one, as RFC 9457 has it. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  /** Seconds after which trying again makes sense. */
  readonly retryAfter: number | undefined;
  readonly faults: readonly Fault[];

  constructor(
    status: number,
    code: string,
    detail: string,
    requestId?: string,
    retryAfter?: number,
    faults: readonly Fault[] = [],
  ) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
    this.faults = faults;
  }

  static async of(answer: Response): Promise<Problem> {
    const after = Number(answer.headers.get('Retry-After') ?? NaN);
    let body: Record<string, unknown> = {};
    try {
      body = (await answer.json()) as Record<string, unknown>;
    } catch {
      // Not from emx itself, perhaps a proxy; the status says enough.
    }
    const text = (key: string) => (typeof body[key] === 'string' ? body[key] : undefined);
    return new Problem(
      answer.status,
      text('code') ?? `http_${answer.status}`,
      sentence(text('detail') ?? text('title') ?? `The server answered ${answer.status}`),
      text('request_id') ?? answer.headers.get('X-Request-Id') ?? undefined,
      Number.isFinite(after) ? after : undefined,
      Array.isArray(body.errors) ? body.errors.flatMap(faultOf) : [],
    );
  }
}

function faultOf(error: unknown): Fault[] {
  const { pointer, detail } = (error ?? {}) as Record<string, unknown>;
  return typeof pointer === 'string' && typeof detail === 'string' ? [{ pointer, detail: sentence(detail) }] : [];
}

/** No answer came: the server is away, or the network is. */
export class Unreachable extends Error {
  constructor() {
    super('The server cannot be reached.');
    this.name = 'Unreachable';
  }
}

/** There is no session any more: sign in. */
export class SignedOut extends Error {
  constructor() {
    super('Your session has ended.');
    this.name = 'SignedOut';
  }
}

/** Begins with a capital and ends with a stop: the server's details do not. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const start = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(start) ? start : `${start}.`;
}
