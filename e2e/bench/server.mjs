// The peer: a provider with its device flow, everything in memory, tokens as JWT. It prints its address when it listens.
import { Provider } from 'oidc-provider';
import { createServer } from 'node:http';

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    { client_id: 'bench', token_endpoint_auth_method: 'none', redirect_uris: [], response_types: [], grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'] },
    { client_id: 'caller', client_secret: 'only for a benchmark', token_endpoint_auth_method: 'client_secret_post', redirect_uris: [], response_types: [], grant_types: ['urn:openid:params:grant-type:ciba'], backchannel_token_delivery_mode: 'poll' },
    { client_id: 'machine', client_secret: 'only for a benchmark', token_endpoint_auth_method: 'client_secret_post', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }],
  features: {
    deviceFlow: { enabled: true },
    // Whoever is named is asked by nobody, which only makes the peer cheaper.
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      processLoginHint: async (_, hint) => hint,
      verifyUserCode: async () => {},
      validateBindingMessage: async () => {},
      validateRequestContext: async () => {},
      triggerAuthenticationDevice: async () => {},
    },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:bench',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'profile', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'ES256' } } }),
    },
  },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client, code) => code.scopes.has('offline_access'),
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  jwks: { keys: [JSON.parse(process.env.BENCH_KEY)] },
  cookies: { keys: ['only for a benchmark'] },
  ttl: { DeviceCode: 300, BackchannelAuthenticationRequest: 300, Grant: 3600, IdToken: 600, AccessToken: 600, ClientCredentials: 600, RefreshToken: 3600 },
});

// The person's part without pages or sign-in, which only makes the peer cheaper: the code is granted straight in its store.
const handle = provider.callback();
server.on('request', async (request, response) => {
  if (!request.url.startsWith('/grant?')) return handle(request, response);
  const userCode = new URL(request.url, issuer).searchParams.get('user_code').replaceAll('-', '');
  const code = await provider.DeviceCode.findByUserCode(userCode);
  const grant = new provider.Grant({ accountId: 'person', clientId: 'bench' });
  grant.addOIDCScope('openid profile offline_access');
  grant.addResourceScope('urn:bench', 'profile');
  code.accountId = 'person';
  code.grantId = await grant.save();
  code.scope = code.params.scope;
  code.claims = {};
  code.authTime = Math.floor(Date.now() / 1000);
  code.acr = '0';
  code.amr = [];
  code.sessionUid = 'session';
  code.expiresWithSession = false;
  code.resource = 'urn:bench';
  code.inFlight = false;
  code.error = undefined;
  await code.save();
  response.end();
});
console.log(issuer);
