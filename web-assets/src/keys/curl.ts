// Command lines that can be pasted as they are.

/** Quotes for a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Reports one run with `key`. */
export function reportOne(origin: string, key: string): string {
  return [
    'curl --cacert ca.pem',
    `-H "Authorization: Bearer ${key}"`,
    "-H 'Content-Type: application/json'",
    `-d '{"command":"hello","duration_ms":12,"exit_code":0}'`,
    quoted(`${origin}/api/v1/executions`),
  ].join(' \\\n  ');
}

/** Fetches the server's CA, by trusting whoever answers this once. */
export function fetchCa(origin: string): string {
  return `curl -k ${quoted(`${origin}/ca.pem`)} -o ca.pem`;
}

/** Shows what `emx serve` printed when it made the CA. */
export const FINGERPRINT = 'openssl x509 -in ca.pem -noout -fingerprint -sha256';
