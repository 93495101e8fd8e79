// An OpenID provider for tests, over TLS on this machine alone:
//
//   node provider.mjs CERTIFICATE KEY [PATH]
//
// Prints `READY <port>` once it listens. For each line `CLIENT_ID REDIRECT_URI` on its standard input
// there is a client, and `CLIENT <id>` is printed once there is. Whoever signs in is who they say: the
// part after a dot in the name is a group, so `ada.ops` is in `ops`; `nobody` tells no e-mail address
// and `unverified` none that was verified. The issuer is this machine, or PATH there, as those are of an
// organisation that has several. Groups come with every scope, as an administrator would have it.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [certificate, key, path = ''] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', kid: 'one', use: 'sig' };

const clients = [];
let answer = (_request, response) => response.writeHead(503).end();

const account = (id) => {
  const groups = id.split('.').slice(1);
  if (id === 'nobody') return { sub: id, groups };
  return { sub: id, email: `${id}@example.org`, email_verified: id !== 'unverified', groups };
};

function serve(issuer) {
  const provider = new Provider(issuer, {
    clients,
    claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_context, id) => ({ accountId: id, claims: () => account(id) }),
    jwks: { keys: [jwk] },
    pkce: { required: () => true },
  });
  const callback = provider.callback();
  answer = (request, response) => {
    // Where it is mounted, the provider finds out by what is left of the address.
    request.originalUrl = request.url;
    if (!request.url.startsWith(path)) return response.writeHead(404).end();
    request.url = request.url.slice(path.length);
    return callback(request, response);
  };
}

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => answer(request, response),
);

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  createInterface({ input: process.stdin }).on('line', (line) => {
    const [id, uri] = line.split(' ');
    clients.push({ client_id: id, client_secret: `secret of ${id}`, redirect_uris: [uri] });
    serve(`https://127.0.0.1:${port}${path}`);
    console.log(`CLIENT ${id}`);
  });
  console.log(`READY ${port}`);
});
