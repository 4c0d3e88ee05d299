// A whole sign-in with openid-client, a client library that knows nothing of Countersign: discovery,
// PKCE, DPoP with the server's nonces, userinfo, sign-out. It starts nothing; it needs
//   ISSUER  where the server is, e.g. http://localhost:7310
//   PLAY    path of `countersign-device`, which plays the person with phone and screen
//   STATE   folder of an enrolled software phone
// and a public client on the server (names may be changed by the variables in brackets):
//   id = "e2e" [CLIENT], redirect_uris = ["http://127.0.0.1/cb"] [REDIRECT], scopes = ["profile"],
//   far = "unproven" if the phone plays from elsewhere,
//   post_logout_redirect_uris = ["http://127.0.0.1/bye"] [BYE], refresh = "always", audience = "https://api.example"
// and, where API_SECRET is set, a client `api` with that secret (client_secret_basic), introspects = ["https://api.example"]
import * as oidc from 'openid-client';
import { createHash } from 'node:crypto';
import { check, discover, finish, header, introspection, payload, refusal, request, settings, signsIn } from './kit.mjs';

const { ISSUER, API_SECRET, CLIENT = 'e2e' } = settings('ISSUER', 'PLAY', 'STATE');
const { REDIRECT = 'http://127.0.0.1/cb', BYE = 'http://127.0.0.1/bye' } = process.env;

async function signIn() {
  const config = await discover(CLIENT, undefined, oidc.None());
  const server = config.serverMetadata();
  check('the document names its own issuer', server.issuer === ISSUER, server.issuer);
  check('S256 is offered, and nothing weaker', String(server.code_challenge_methods_supported) === 'S256');
  check('back-channel log-out with sessions is offered', server.backchannel_logout_session_supported === true);

  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const jkt = await DPoP.calculateThumbprint();
  const { asked, checks } = await request({ redirect_uri: REDIRECT, dpop_jkt: jkt });
  const began = Math.floor(Date.now() / 1000);
  const back = await signsIn(oidc.buildAuthorizationUrl(config, asked));
  check('the answer names its issuer', back.searchParams.get('iss') === ISSUER, back.searchParams.get('iss'));

  const grant = () => oidc.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
  const tokens = await grant();
  const id = tokens.claims();
  const access = payload(tokens.access_token);
  check('the token type is DPoP', tokens.token_type === 'dpop', tokens.token_type);
  check('the access token is typed', header(tokens.access_token).typ === 'at+jwt', header(tokens.access_token));
  check('acr says what a scan earns and no more', id.acr === 'urn:countersign:acr:xd2', id.acr);
  check('amr says two devices and two factors', ['mca', 'mfa', 'user'].every((m) => id.amr?.includes(m)), id.amr);
  check('no hardware is claimed for a software phone', !id.amr?.includes('hwk'), id.amr);
  check('auth_time is the approval', id.auth_time >= began - 2 && id.auth_time <= id.iat, id.auth_time);
  check('the session has a name', typeof id.sid === 'string' && id.sid === access.sid, id.sid);
  check('the access token is bound to the key', access.cnf?.jkt === jkt, access.cnf);
  check('the access token lives five minutes at most', access.exp - access.iat <= 300, access.exp - access.iat);
  check('what the ceremony showed is told', typeof id.cs?.channel === 'string', id.cs);

  const info = await oidc.fetchUserInfo(config, tokens.access_token, id.sub, { DPoP });
  check('userinfo is about the same person', info.sub === id.sub, info.sub);
  check('userinfo has a name for scope profile', typeof info.name === 'string', info);

  const userinfo = new URL(server.userinfo_endpoint);
  const bearer = await fetch(userinfo, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  check('the token without its key is worth nothing', bearer.status === 401, bearer.status);
  const other = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const stolen = await refusal(oidc.fetchUserInfo(config, tokens.access_token, id.sub, { DPoP: other }));
  check('the token with another key is worth nothing', stolen !== 'nothing', stolen);

  const renew = (token, key = DPoP) => oidc.refreshTokenGrant(config, token, undefined, { DPoP: key });
  const renewed = await renew(tokens.refresh_token);
  check('a renewal gives another access token', renewed.access_token !== tokens.access_token && renewed.token_type === 'dpop');
  check('and the next refresh token', renewed.refresh_token && renewed.refresh_token !== tokens.refresh_token);
  check('both belong to one grant', payload(renewed.access_token).grant_id === access.grant_id, access.grant_id);
  const told = await renew(tokens.refresh_token);
  check('a lost answer is told again', told.refresh_token === renewed.refresh_token);
  const fresh = await oidc.fetchUserInfo(config, renewed.access_token, id.sub, { DPoP });
  check('the renewed token works', fresh.sub === id.sub);
  check('a refresh token with another key is worth nothing', (await refusal(renew(renewed.refresh_token, other))) === 'invalid_grant');

  const active = introspection(server, API_SECRET);
  const seen = await active(renewed.access_token);
  check('the interface hears whose token it is', seen.active && seen.sub === id.sub && seen.client_id === CLIENT, seen);
  check('and what it is bound to', seen.cnf?.jkt === jkt && seen.token_type === 'DPoP', seen);
  check('the same answer comes signed', (await active(renewed.access_token, true)).jti === seen.jti);
  await oidc.tokenRevocation(config, renewed.access_token);
  check('a token that was given back counts no more', (await active(renewed.access_token)).active === false);
  check('and of a refresh token it hears nothing', JSON.stringify(await active(renewed.refresh_token)) === '{"active":false}');
  const later = await renew(renewed.refresh_token);
  check('what can be renewed stays', (await active(later.access_token)).active === true);

  const again = await refusal(grant());
  check('a code that comes again is refused', again === 'invalid_grant', again);
  const after = await refusal(oidc.fetchUserInfo(config, tokens.access_token, id.sub, { DPoP }));
  check('and what it gave is taken back', after !== 'nothing', after);
  check('with what was renewed from it', (await refusal(renew(later.refresh_token))) === 'invalid_grant');
  check('and says so at once', (await active(later.access_token)).active === false);

  const { state } = asked;
  const out = (more) =>
    oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: BYE, state, ...more });
  const bye = await fetch(out({}), { redirect: 'manual' });
  const text = await bye.text();
  check('sign-out shows a page that leads back', bye.status === 200 && text.includes(BYE) && text.includes(state));
  const astray = await fetch(out({ post_logout_redirect_uri: 'https://elsewhere.example/' }), { redirect: 'manual' });
  check('sign-out never leads to an unknown place', astray.status === 400, astray.status);
}

// What is wrong with a request is said where it may be said.
async function refusals() {
  const challenge = createHash('sha256').update('x').digest('base64url');
  const ask = async (change) => {
    const query = new URLSearchParams({
      client_id: CLIENT, redirect_uri: REDIRECT, response_type: 'code', scope: 'openid', state: 's',
      code_challenge: challenge, code_challenge_method: 'S256', ...change,
    });
    const answer = await fetch(`${ISSUER}/authorize?${query}`, { redirect: 'manual' });
    const to = answer.headers.get('location');
    return { status: answer.status, error: to && new URL(to, ISSUER).searchParams.get('error'), to };
  };
  for (const [change, error] of [
    [{ code_challenge_method: 'plain' }, 'invalid_request'],
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ prompt: 'none' }, 'login_required'],
  ]) {
    const seen = await ask(change);
    check(`${JSON.stringify(change)} goes back as ${error}`, seen.status === 303 && seen.error === error, seen);
  }
  for (const change of [{ redirect_uri: 'https://elsewhere.example/cb' }, { client_id: 'nobody' }, { request: 'e30.e30.' }, { request_uri: 'urn:x' }]) {
    const seen = await ask(change);
    check(`${JSON.stringify(change)} goes nowhere`, seen.status === 400 && seen.to === null, seen);
  }
}

await finish(signIn, refusals);
