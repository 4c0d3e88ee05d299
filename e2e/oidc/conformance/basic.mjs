// oidcc-basic-certification-test-plan and oidcc-config-certification-test-plan, module by module by the suite's names: what each
// sends, and what it would fail on. Left out: modules that the suite skips for static clients or without `alg: none`, the thirty
// seconds of `oidcc-codereuse-30seconds`, and screenshots.
import { check } from '../kit.mjs';
import { Rp, random } from './rp.mjs';

export async function basic(server, clients, redirect, folder) {
  const rp = new Rp(server, clients.basic, redirect);
  const second = new Rp(server, clients['basic-2'], redirect);
  const here = ['--browser', folder('basic')];

  /** One happy flow: request, code, tokens, ID token, userinfo */
  async function flow(who = rp, more = {}, ...flags) {
    const [state, nonce] = [random(), more.nonce === null ? undefined : random()];
    const back = await who.asks(who.url({ state, nonce, ...more }), ...(flags.length ? flags : here));
    if (!back.code) return { back };
    const answer = await who.exchange(back.code, more.verifier ? { code_verifier: more.verifier } : {});
    const claims = answer.body?.id_token && (await who.verified(answer.body.id_token, nonce));
    return { back, answer, tokens: answer.body, claims, stateKept: back.state === state, info: answer.body?.access_token ? await who.about(answer.body.access_token) : undefined };
  }
  const happy = (name, seen) =>
    check(name, seen.stateKept && seen.answer?.status === 200 && seen.claims?.sub !== undefined && seen.info?.body?.sub === seen.claims.sub, seen);

  check('oidcc-discovery-endpoint-verification: what must be there', ['issuer', 'jwks_uri', 'userinfo_endpoint', 'claims_supported'].every((name) => server[name]) && server.id_token_signing_alg_values_supported.includes('RS256') && server.subject_types_supported.includes('public') && server.scopes_supported.includes('openid') && server.response_types_supported.includes('code') && server.grant_types_supported.includes('authorization_code'), server);
  const jwks = await (await fetch(server.jwks_uri)).json();
  check('oidcc-discovery-endpoint-verification: keys are public, named and told apart', jwks.keys.every((key) => key.kid && key.use === 'sig' && !key.d && !key.k) && new Set(jwks.keys.map((key) => key.kid)).size === jwks.keys.length, jwks);

  const first = await flow();
  happy('oidcc-server', first);
  check('oidcc-server: by RS256, with a kid, for five minutes', first.claims.header.alg === 'RS256' && first.claims.header.kid && first.claims.exp > first.claims.iat && first.tokens.token_type === 'Bearer' && first.answer.headers.get('cache-control') === 'no-store', first);
  const missing = await rp.asks(rp.url({ response_type: null, state: 's', nonce: 'n' }), ...here);
  check('oidcc-response-type-missing', missing.error === 'invalid_request' && missing.state === 's', missing);
  check('oidcc-userinfo-get', first.info.status === 200 && /^application\/json/.test(first.info.headers.get('content-type')), first.info);
  check('oidcc-userinfo-post-header', (await rp.about(first.tokens.access_token, { method: 'POST' })).status === 200);
  const inBody = await rp.send(server.userinfo_endpoint, () => ({ method: 'POST', body: new URLSearchParams({ access_token: first.tokens.access_token }) }));
  check('oidcc-userinfo-post-body: not spoken, a warning of the suite', inBody.status === 401, inBody);
  happy('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', await flow(rp, { nonce: null }));
  const profile = await flow(rp, { scope: 'openid profile' });
  check('oidcc-scope-profile', typeof profile.info.body.name === 'string' && typeof profile.info.body.preferred_username === 'string', profile.info.body);
  check('oidcc-scope-email, -address, -phone, -all: not offered, so the suite skips them', !server.scopes_supported.some((scope) => ['email', 'address', 'phone'].includes(scope)));
  happy('oidcc-alternate-happy-flow', await flow(rp, { scope: 'profile openid' }));
  happy('oidcc-display-page', await flow(rp, { display: 'page' }));
  happy('oidcc-display-popup', await flow(rp, { display: 'popup' }));
  const earlier = (await flow()).claims.auth_time;
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const login = await flow(rp, { prompt: 'login' });
  check('oidcc-prompt-login', login.claims.auth_time > earlier && login.claims.sub === first.claims.sub, login);
  const alone = await flow(rp, { prompt: 'none' }, '--browser', folder('nobody'));
  check('oidcc-prompt-none-not-logged-in', ['login_required', 'interaction_required'].includes(alone.back.error), alone);
  const silent = await flow(rp, { prompt: 'none' });
  check('oidcc-prompt-none-logged-in', silent.claims?.auth_time === login.claims.auth_time && silent.claims.sub === first.claims.sub, silent);
  const long = await flow(rp, { max_age: '10000' });
  check('oidcc-max-age-10000', long.claims.auth_time === login.claims.auth_time, long);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const again = await flow(rp, { max_age: '1' });
  check('oidcc-max-age-1', again.claims.auth_time > long.claims.auth_time, again);
  happy('oidcc-ensure-request-with-unknown-parameter-succeeds', await flow(rp, { extra: 'foobar' }));
  const hinted = await flow(rp, { prompt: 'none', id_token_hint: again.tokens.id_token });
  check('oidcc-id-token-hint', hinted.claims?.sub === first.claims.sub && hinted.claims.auth_time === again.claims.auth_time, hinted);
  happy('oidcc-login-hint', await flow(rp, { login_hint: 'buffy@localhost' }));
  happy('oidcc-ui-locales', await flow(rp, { ui_locales: 'se' }));
  happy('oidcc-claims-locales', await flow(rp, { claims_locales: 'se' }));
  const classes = await flow(rp, { acr_values: server.acr_values_supported.join(' ') });
  check('oidcc-ensure-request-with-acr-values-succeeds', server.acr_values_supported.includes(classes.claims?.acr), classes);
  const other = await flow();
  const twice = await rp.exchange(other.back.code);
  check('oidcc-codereuse', twice.status === 400 && twice.error === 'invalid_grant', twice);
  check('oidcc-codereuse-30seconds: what it gave is taken back', (await rp.about(other.tokens.access_token)).status === 401);
  const astray = await rp.asks(rp.url({ redirect_uri: `${redirect}/other`, nonce: 'n' }), ...here);
  check('oidcc-ensure-registered-redirect-uri', astray.page === true, astray);
  const posted = await fetch(server.authorization_endpoint, { method: 'POST', redirect: 'manual', body: new URL(rp.url({ nonce: 'n', state: 's' })).searchParams });
  const turned = new URL(posted.headers.get('location'), server.issuer);
  const answered = await rp.asks(turned.href, ...here);
  check('oidcc-ensure-post-request-succeeds', posted.status === 303 && answered.code && answered.state === 's', answered);
  happy('oidcc-server-client-secret-post', await flow(new Rp(server, clients['basic-post'], redirect), {}, '--browser', folder('post')));
  check('oidcc-unsigned-request-object…, oidcc-ensure-request-object-with-redirect-uri: skipped, `none` is not offered', !server.request_object_signing_alg_values_supported.includes('none'));
  const essential = await flow(rp, { claims: JSON.stringify({ userinfo: { name: { essential: true } } }) });
  check('oidcc-claims-essential', typeof essential.info.body.name === 'string' && essential.claims.name === undefined, essential);
  const lasting = await flow(rp, { scope: 'openid offline_access', prompt: 'consent' });
  check('oidcc-refresh-token: offered and given', server.scopes_supported.includes('offline_access') && /^[\x20-\x7e]+$/.test(lasting.tokens.refresh_token), lasting);
  const renewed = await rp.token({ grant_type: 'refresh_token', refresh_token: lasting.tokens.refresh_token });
  check('oidcc-refresh-token: it renews', renewed.status === 200 && renewed.body.access_token !== lasting.tokens.access_token && (await rp.about(renewed.body.access_token)).status === 200, renewed);
  const stolen = await second.token({ grant_type: 'refresh_token', refresh_token: renewed.body.refresh_token });
  check('oidcc-refresh-token: for its own client alone', stolen.status === 400 && stolen.error === 'invalid_grant', stolen);
  const { verifier, asked } = rp.pkce();
  happy('oidcc-ensure-request-with-valid-pkce-succeeds', await flow(rp, { ...asked, verifier }));
}
