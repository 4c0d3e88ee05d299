// oidcc-rp-initiated-logout-certification-test-plan and oidcc-backchannel-rp-initiated-logout-certification-test-plan, module by
// module. A person clicks where the server asks; `play` does not, so there the page is asked for with the browser's own cookies.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { check, payload, signsOut } from '../kit.mjs';
import { Rp, jwt, newKey, random } from './rp.mjs';

export async function logout(server, clients, redirect, folder, { port, ...certificate }) {
  const rp = new Rp(server, clients.basic, redirect);
  const back = redirect.replace(/callback$/, 'post_logout_redirect');
  const heard = [];
  const ear = createServer(certificate, async (asking, reply) => {
    let text = '';
    for await (const part of asking) text += part;
    heard.push({ path: asking.url, kind: asking.headers['content-type'], token: new URLSearchParams(text).get('logout_token') });
    reply.writeHead(200).end();
  });
  await new Promise((resolve) => ear.listen(port, '127.0.0.1', resolve));

  const here = folder('logout');
  async function signedIn() {
    const answer = await rp.asks(rp.url({ nonce: 'n', state: 's' }), '--browser', here);
    return (await rp.exchange(answer.code)).body.id_token;
  }
  const at = (fields) => `${server.end_session_endpoint}?${new URLSearchParams(fields)}`;
  /** What the browser is shown: it is asked, it is told what is wrong, or it is signed out. */
  async function shown(fields) {
    const { cookies } = JSON.parse(readFileSync(`${here}/browser.json`, 'utf8')).cookies;
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const answer = await fetch(at(fields), { redirect: 'manual', headers: { cookie } });
    const text = await answer.text();
    return { status: answer.status, to: answer.headers.get('location'), asks: text.includes('name="confirm"'), leads: text.includes('data-next') };
  }
  const stays = (seen) => seen.to === null && !seen.leads && (seen.asks || seen.status === 400);
  const none = () => rp.asks(rp.url({ nonce: 'n', prompt: 'none' }), '--browser', here);

  check('oidcc-rp-initiated-logout-discovery-endpoint-verification', server.end_session_endpoint.startsWith(server.issuer));
  const hint = await signedIn();
  check('oidcc-rp-initiated-logout-bad-post-logout-redirect-uri', stays(await shown({ id_token_hint: hint, post_logout_redirect_uri: `${back}/other`, state: 'a' })));
  const [head, body] = hint.split('.');
  const bare = `${Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(head, 'base64url')), alg: 'none' })).toString('base64url')}.${body}.`;
  check('oidcc-rp-initiated-logout-modified-id-token-hint', stays(await shown({ id_token_hint: bare, post_logout_redirect_uri: back, state: 'a' })));
  check('oidcc-rp-initiated-logout-no-id-token-hint', stays(await shown({ post_logout_redirect_uri: back, state: 'a' })));
  check('oidcc-rp-initiated-logout-no-params: a person is asked, and then signed out', (await shown({})).asks);
  check('oidcc-rp-initiated-logout-only-state: as before', (await shown({ state: 'a' })).asks);
  check('oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri', stays(await shown({ id_token_hint: hint, post_logout_redirect_uri: `${back}?foo=bar`, state: 'a' })));
  const fake = jwt({ kid: 'x' }, { ...payload(hint) }, newKey());
  check('oidcc-rp-initiated-logout-bad-id-token-hint', stays(await shown({ id_token_hint: fake, post_logout_redirect_uri: back, state: 'a' })));
  check('none of these signed anybody out', (await none()).code !== undefined);

  const state = random(96);
  check('oidcc-rp-initiated-logout', (await signsOut(at({ id_token_hint: hint, post_logout_redirect_uri: back, state }), here)) === `${back}?state=${state}`);
  check('oidcc-rp-initiated-logout: nobody is there any more', ['login_required', 'interaction_required'].includes((await none()).error));
  const second = await signedIn();
  check('oidcc-rp-initiated-logout-no-state', (await signsOut(at({ id_token_hint: second, post_logout_redirect_uri: back }), here)) === back);
  const third = await signedIn();
  check('oidcc-rp-initiated-logout-no-post-logout-redirect-uri', (await signsOut(at({ id_token_hint: third }), here)) === 'Signed out.' && (await none()).error === 'login_required');

  check('oidcc-backchannel-logout-discovery-endpoint-verification', server.backchannel_logout_supported === true && server.backchannel_logout_session_supported === true);
  // Ends of earlier sessions come as well, again and again until somebody listens; here it is about these three.
  const ended = [hint, second, third].map((token) => payload(token).sid);
  const those = () => heard.filter(({ token }) => ended.includes(payload(token).sid));
  const until = Date.now() + 60_000;
  while (those().length < 3 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
  ear.close();
  check('oidcc-backchannel-rp-initiated-logout: told of each end, as a form', those().length === 3 && those().every(({ path, kind }) => path === new URL(redirect).pathname.replace(/callback$/, 'backchannel_logout') && kind === 'application/x-www-form-urlencoded'), heard);
  const told = heard.find(({ token }) => payload(token).sid === payload(hint).sid);
  const claims = told && (await rp.verified(told.token));
  check('oidcc-backchannel-rp-initiated-logout: by a log-out token', claims?.header.alg === 'RS256' && claims.header.typ === 'logout+jwt' && claims.jti && claims.iat && claims.exp && claims.sub === payload(hint).sub && claims.nonce === undefined && JSON.stringify(claims.events) === '{"http://schemas.openid.net/event/backchannel-logout":{}}', claims);
}
