// The strict way with openid-client: the client authenticates by a signed assertion, pushes its request, signed and with its key
// shown (PAR, JAR, DPoP), and takes a signed answer (JARM). Needs what `signin.mjs` needs, and
//   CLIENT_KEY  a private JWK (ES256) whose public half the client `strict` is registered with
import * as oidc from 'openid-client';
import { check, discover, finish, payload, refusal, request, settings, signsIn } from './kit.mjs';

const { ISSUER, CLIENT_KEY, CLIENT = 'strict', REDIRECT = 'http://127.0.0.1/cb' } = settings('ISSUER', 'PLAY', 'STATE', 'CLIENT_KEY');

async function strict() {
  const jwk = JSON.parse(CLIENT_KEY);
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  // Whatever can be signed is: requests, answers, what is told about tokens.
  const metadata = { authorization_signed_response_alg: 'ES256', introspection_signed_response_alg: 'ES256' };
  const config = await discover(CLIENT, metadata, oidc.PrivateKeyJwt(key));
  const server = config.serverMetadata();
  check('pushed requests are offered', server.pushed_authorization_request_endpoint === `${ISSUER}/par`, server.pushed_authorization_request_endpoint);
  check('signed answers are offered', server.response_modes_supported?.includes('jwt'), server.response_modes_supported);
  oidc.useJwtResponseMode(config);

  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const jkt = await DPoP.calculateThumbprint();
  const { asked, checks } = await request({ redirect_uri: REDIRECT });
  const object = await oidc.buildAuthorizationUrlWithJAR(config, asked, key);
  const push = () => oidc.buildAuthorizationUrlWithPAR(config, object.searchParams, { DPoP });
  const pushed = await push();
  check('the browser carries a name and nothing else', [...pushed.searchParams.keys()].sort().join() === 'client_id,request_uri', pushed.search);

  const back = await signsIn(pushed);
  check('the answer is one signed text', [...back.searchParams.keys()].join() === 'response', back.search);
  const answer = payload(back.searchParams.get('response'));
  check('it names its issuer and its reader', answer.iss === ISSUER && answer.aud === CLIENT, answer);

  // Its own signatures are checked although TLS brought them, as message signing asks.
  oidc.enableNonRepudiationChecks(config);
  const tokens = await oidc.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
  check('the tokens are bound to the key of the push', payload(tokens.access_token).cnf?.jkt === jkt);
  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  const info = await oidc.fetchUserInfo(config, renewed.access_token, tokens.claims().sub, { DPoP });
  check('what is renewed works', typeof info.name === 'string', info);
  check('its refresh token stays, as FAPI 2.0 demands', renewed.refresh_token === undefined, renewed.refresh_token);
  const kept = tokens.refresh_token;
  const seen = await oidc.tokenIntrospection(config, kept);
  check('the client may look at its own', seen.active === true && seen.client_id === CLIENT, seen);
  await oidc.tokenRevocation(config, kept);
  check('given back, all of it ends', (await oidc.tokenIntrospection(config, renewed.access_token)).active === false);
  check('and nothing is renewed', (await refusal(oidc.refreshTokenGrant(config, kept, undefined, { DPoP }))) === 'invalid_grant');

  const again = await fetch(pushed, { redirect: 'manual' });
  check('a name works once', again.status === 400, again.status);
  const plain = await fetch(oidc.buildAuthorizationUrl(config, asked), { redirect: 'manual' });
  const to = new URL(plain.headers.get('location') ?? REDIRECT);
  const said = payload(to.searchParams.get('response') ?? 'e30.e30.');
  check('without a push it is refused, in a signed answer', said.error === 'invalid_request', said);
  const unsigned = await refusal(oidc.buildAuthorizationUrlWithPAR(config, asked, { DPoP }));
  check('without a signature it is refused', unsigned === 'invalid_request', unsigned);
}

await finish(strict);
