// An OpenID provider for tests, over TLS on this machine alone:
//
//   node provider.mjs CERTIFICATE KEY ISSUER REDIRECT_URI
//
// Prints `READY <port>` once it answers. Whoever signs in is who they say; `nobody` tells no e-mail
// address. There is one client for each algorithm, called by its name.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const [certificate, key, issuer, redirectUri] = process.argv.slice(2);

const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const pairs = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

const keys = algorithms.map((alg) => ({
  ...pairs[alg].privateKey.export({ format: 'jwk' }), alg, kid: `key-${alg}`, use: 'sig',
}));

const provider = new Provider(issuer, {
  clients: algorithms.map((alg) => ({
    client_id: alg,
    client_secret: 'a secret: with/signs+%',
    redirect_uris: [redirectUri],
    id_token_signed_response_alg: alg,
  })),
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name'],
    groups: ['groups'],
  },
  enabledJWA: { idTokenSigningAlgValues: algorithms },
  features: { devInteractions: { enabled: true } },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => (id === 'nobody'
      ? { sub: id }
      : { sub: id, email: `${id}@example.org`, email_verified: true, groups: ['staff', `of-${id}`] }),
  }),
  jwks: { keys },
  pkce: { required: () => true },
});

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  provider.callback(),
);
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
