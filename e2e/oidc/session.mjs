// What lasts beyond one sign-in, with openid-client: a payment read and approved (RAR), a session that answers by itself,
// one that is raised because an interface asks for more (RFC 9470), and its end, which every client hears of
// (RP-initiated and back-channel log-out). Needs what `signin.mjs` needs, with API_SECRET, and
//   HEARS    port of this machine where the client's `backchannel_logout_uri` leads, path /ended
//   BROWSER  folder for the browser that keeps the session
// The client: detail_types = ["payment"], audience = "https://api.example"
import * as oidc from 'openid-client';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { createServer } from 'node:http';
import { check, discover, finish, introspection, payload, refusal, request, settings, signsIn, signsOut } from './kit.mjs';

const { ISSUER, API_SECRET, HEARS, BROWSER, CLIENT = 'e2e' } = settings('ISSUER', 'PLAY', 'STATE', 'API_SECRET', 'HEARS', 'BROWSER');
const { REDIRECT = 'http://127.0.0.1/cb', BYE = 'http://127.0.0.1/bye' } = process.env;
const here = ['--browser', BROWSER];

const config = await discover(CLIENT, undefined, oidc.None());
const server = config.serverMetadata();
const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
const active = introspection(server, API_SECRET);
let session;

/** Pushes a request, lets the person answer it, takes the tokens. */
async function tokens(more, ...flags) {
  const { asked, checks } = await request({ redirect_uri: REDIRECT, ...more });
  const back = await signsIn(await oidc.buildAuthorizationUrlWithPAR(config, asked, { DPoP }), ...here, ...flags);
  return oidc.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
}

async function payment() {
  const details = [{ type: 'payment', amount: '12.50', currency: 'EUR', to: 'Blumen Ana', account: 'AT611904300234573201' }];
  const asked = { authorization_details: JSON.stringify(details) };
  const same = (seen) => JSON.stringify(seen) === JSON.stringify(details);
  const paid = await tokens(asked);
  check('the answer carries the payment as it was asked for', same(paid.authorization_details), paid.authorization_details);
  check('so does the access token', same(payload(paid.access_token).authorization_details));
  const seen = await active(paid.access_token);
  check('and whoever takes it hears the same', same(seen.authorization_details), seen);
  const renewed = await oidc.refreshTokenGrant(config, paid.refresh_token, undefined, { DPoP });
  check('a renewal says nothing else', same(renewed.authorization_details), renewed.authorization_details);
  for (const wrong of [[{ ...details[0], amount: 1.5 }], [{ ...details[0], tip: '1' }], [{ type: 'door' }]]) {
    const no = await refusal(tokens({ authorization_details: JSON.stringify(wrong) }));
    check('what does not fit goes back', no === 'invalid_authorization_details', no);
  }
  session = paid.claims().sid;
}

async function raised() {
  const first = await tokens({ scope: 'openid' });
  check('the session that is there answers', first.claims().sid === session, first.claims().sid);
  const silent = await tokens({ scope: 'openid', prompt: 'none' });
  check('also where nobody may be asked', silent.claims().sid === session);
  // The interface: whoever signed in long ago, or with less than it wants, is sent to do it again.
  const api = createServer(async (asking, reply) => {
    const token = await active(asking.headers.authorization?.split(' ')[1] ?? '');
    const old = Number(new URL(asking.url, 'http://x').searchParams.get('after'));
    const wants = { '/now': token.auth_time <= old && 'max_age="0"', '/vault': token.acr !== 'phr' && 'acr_values="phr"' };
    const missing = wants[new URL(asking.url, 'http://x').pathname];
    if (!token.active) return reply.writeHead(401).end();
    if (!missing) return reply.writeHead(200).end('open');
    reply.writeHead(401, { 'www-authenticate': `DPoP error="insufficient_user_authentication", ${missing}` }).end();
  });
  await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));
  const at = (path) => new URL(path, `http://127.0.0.1:${api.address().port}`);
  const ask = (token, path) => oidc.fetchProtectedResource(config, token, at(path), 'GET', undefined, undefined, { DPoP });
  const challenge = async (token, path) => {
    try {
      await ask(token, path);
    } catch (e) {
      const { error, acr_values, max_age } = e.cause?.[0]?.parameters ?? {};
      check('the interface asks for more', error === 'insufficient_user_authentication', String(e));
      return Object.fromEntries(Object.entries({ acr_values, max_age }).filter(([, value]) => value !== undefined));
    }
    throw new Error('the interface asked for nothing');
  };

  const before = first.claims().auth_time;
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const now = `/now?after=${before}`;
  const again = await tokens({ scope: 'openid', ...(await challenge(first.access_token, now)) });
  check('the same session, a later time', again.claims().sid === session && again.claims().auth_time > before, again.claims());
  check('which is enough', (await ask(again.access_token, now)).status === 200);

  const more = await challenge(again.access_token, '/vault');
  const scanned = await tokens({ scope: 'openid', ...more }).then(() => 'tokens', () => 'refused');
  check('a scan never earns what resists phishing', scanned === 'refused', scanned);
  const high = await tokens({ scope: 'openid', ...more }, '--passkey');
  check('a passkey on the screen does', high.claims().acr === 'phr' && high.claims().sid === session, high.claims());
  check('which is enough', (await ask(high.access_token, '/vault')).status === 200);
  check('what was there before says what it said', (await active(first.access_token)).acr === first.claims().acr);
  api.close();
  return high;
}

async function ended(high) {
  const told = new Promise((resolve, reject) => {
    const ear = createServer(async (asking, reply) => {
      let text = '';
      for await (const part of asking) text += part;
      reply.writeHead(200, { 'cache-control': 'no-store' }).end();
      resolve({ path: asking.url, token: new URLSearchParams(text).get('logout_token') });
      ear.close();
    });
    ear.listen(Number(HEARS), '127.0.0.1');
    setTimeout(() => reject(new Error('nobody told us of the end')), 60_000).unref();
  });
  told.catch(() => {});
  check('a token counts while its session lives', (await active(high.access_token)).active === true);
  const hint = { id_token_hint: high.id_token, post_logout_redirect_uri: BYE, state: 'left' };
  const next = await signsOut(oidc.buildEndSessionUrl(config, hint), BROWSER);
  check('the page leads back to the client', next === `${BYE}?state=left`, next);
  check('with the session every token ends', (await active(high.access_token)).active === false);
  const { path, token } = await told;
  const keys = createRemoteJWKSet(new URL(server.jwks_uri));
  const { payload: claims, protectedHeader } = await jwtVerify(token, keys, { issuer: ISSUER, audience: CLIENT, typ: 'logout+jwt', maxTokenAge: 60 });
  const event = claims.events?.['http://schemas.openid.net/event/backchannel-logout'];
  check('the client is told where it said', path === '/ended', path);
  check('that this session ended', claims.sid === session && claims.sub === high.claims().sub && event !== undefined, claims);
  check('in a text that passes for no ID token', claims.nonce === undefined && protectedHeader.alg === 'ES256', claims);
  const silent = await refusal(tokens({ scope: 'openid', prompt: 'none' }));
  check('nobody answers silently any more', silent === 'login_required', silent);
}

await finish(payment, async () => ended(await raised()));
