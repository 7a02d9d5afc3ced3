// An OpenID provider at the address that Entra's token endpoint has, and an API that takes its tokens. Its only
// argument is JSON: tenant, scope, and clients, each with an id and either a secret or the path of a certificate
// and the algorithm it signs with. Prints its port in a line, and ends with its standard input.

import { createServer } from 'node:http';
import { X509Certificate, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const { tenant, scope, clients } = JSON.parse(process.argv[2]);

const common = {
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  scope,
};

function registration({ id, secret, certificate, algorithm }) {
  if (secret) {
    return {
      ...common, client_id: id, client_secret: secret, token_endpoint_auth_method: 'client_secret_post',
    };
  }
  const { publicKey } = new X509Certificate(readFileSync(certificate));
  return {
    ...common,
    client_id: id,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: algorithm,
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig' }] },
  };
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}/${tenant}`, {
    clients: clients.map(registration),
    clientAuthMethods: ['client_secret_post', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['PS256', 'RS256'] },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    routes: { token: `/${tenant}/oauth2/v2.0/token` },
    scopes: [scope],
    ttl: { ClientCredentials: 600 },
  });
  // What the provider does not tell those it refuses.
  provider.on('grant.error', (_, error) => process.stderr.write(`${error.error_detail ?? error}\n`));
  const authority = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/api/')) {
      authority(request, response);
      return;
    }
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const known = token && (await provider.ClientCredentials.find(token));
    const granted = known?.scope === scope;
    response.writeHead(granted ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(granted ? { value: [{ id: randomUUID(), requestor: known.clientId }] } : {}));
  });
  process.stdout.write(`${port}\n`);
});

process.stdin.on('end', () => process.exit(0)).resume();
