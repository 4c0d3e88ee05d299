// fapi2-security-profile-final-test-plan (private_key_jwt, DPoP, plain_fapi, openid_connect) and fapi2-message-signing-final-test-plan
// (signed requests, JARM), module by module. The protected resource is `/userinfo`. Left out: minutes of waiting (an expired code,
// an expired name: `a_code_serves_its_own_client_key_and_minute_alone`, `a_name_dies_after_a_minute_and_of_two_browsers_one_has_it`),
// TLS (docs/conformance.md), and modules of national profiles.
import { check } from '../kit.mjs';
import { Rp, jwt, newKey, now, open, random, thumbprint, weak } from './rp.mjs';

/** One plan; `signed`: whether requests are signed and answers wanted so */
async function plan(server, { one, two, signed }, redirect, folder) {
  const name = (module) => `${signed ? 'message signing' : 'security profile'}: ${module}`;
  const here = ['--browser', folder(`fapi-${signed}`)];
  const rp = new Rp(server, one, redirect);
  const other = new Rp(server, two, `${redirect}?dummy1=lorem&dummy2=ipsum`);
  const mode = signed ? { response_mode: 'jwt' } : {};

  /** Pushes; `sign` makes the request object, `null` sends it unsigned. */
  function push(who, fields, { how, change, sign = (claims) => jwt({ typ: 'oauth-authz-req+jwt', kid: who.key.kid }, claims, who.key), beside = {} } = {}) {
    const all = { ...mode, ...fields };
    const plain = { client_id: who.id, redirect_uri: who.redirect, response_type: 'code', scope: 'openid', ...all, ...beside };
    const wrapped = signed && sign ? { client_id: who.id, request: sign(who.object(all, change)), ...beside } : plain;
    return who.post(server.pushed_authorization_request_endpoint, wrapped, { dpop: false, ...how });
  }
  const named = (who, uri, more = {}) => `${server.authorization_endpoint}?${new URLSearchParams({ client_id: who.id, request_uri: uri, ...more })}`;
  /** From the push to the code; `fields` with PKCE */
  async function code(who, fields = {}, more = {}, ...flags) {
    const { verifier, asked } = who.pkce();
    const pushed = await push(who, { ...asked, nonce: random(), state: random(), ...fields }, more);
    const back = pushed.status === 201 ? await who.asks(named(who, pushed.body.request_uri), ...(flags.length ? flags : here)) : {};
    return { pushed, back, verifier, code: back.code };
  }
  const take = (who, { code: text, verifier }, more = {}, how) => who.exchange(text, { code_verifier: verifier, ...more }, how);
  async function happy(module, fields, more) {
    const got = await code(rp, fields, more);
    const answer = await take(rp, got);
    const about = answer.body?.access_token && (await rp.about(answer.body.access_token));
    check(name(module), got.pushed.status === 201 && answer.status === 200 && about?.status === 200, { got, answer });
    return { ...got, answer, about, tokens: answer.body };
  }
  const refusedAtPush = async (module, errors, fields, more) => {
    const { asked } = rp.pkce();
    const answer = await push(rp, { ...asked, nonce: random(), state: random(), ...fields }, more);
    check(name(module), [400, 401].includes(answer.status) && errors.includes(answer.error), answer);
  };
  const refusedAtToken = async (module, errors, change, how, who = rp) => {
    const got = await code(rp);
    const answer = await take(who, got, change, how);
    check(name(module), [400, 401].includes(answer.status) && errors.includes(answer.error), answer);
  };
  const OBJECT = ['invalid_request_object'];
  const CLIENT = ['invalid_client', 'invalid_request'];
  const PROOF = ['invalid_request', 'invalid_grant', 'invalid_dpop_proof'];

  // Well-behaved clients
  check(name('discovery-end-point-verification'), server.pushed_authorization_request_endpoint && server.authorization_response_iss_parameter_supported === true && server.dpop_signing_alg_values_supported.includes('ES256') && server.token_endpoint_auth_methods_supported.includes('private_key_jwt') && server.code_challenge_methods_supported.includes('S256') && typeof server.require_pushed_authorization_requests === 'boolean' && server.response_modes_supported.includes('jwt'));
  const first = await happy('happy-flow');
  check(name('happy-flow: the answer names its issuer'), first.back.iss === server.issuer, first.back);
  check(name('happy-flow: signed where it is asked for'), Boolean(first.back.jarm) === signed && (!signed || (await rp.verified(first.back.jarm)).iss === server.issuer), first.back);
  check(name('happy-flow: bound to the key, ID token not by RS256'), first.tokens.token_type === 'DPoP' && (await rp.verified(first.tokens.id_token)).header.alg === 'ES256');
  const second = await code(other);
  check(name('happy-flow: a second client, at an address with a query'), second.back.at.searchParams.get('dummy1') === 'lorem' && (await take(other, second)).status === 200, second);
  const left = await code(rp, { prompt: 'login' }, {}, '--browser', folder('left'), '--cancel');
  check(name('user-rejects-authentication'), left.back.error === 'access_denied', left.back);
  await happy('ensure-authorization-request-without-state-success', { state: null });
  await happy('ensure-authorization-request-without-nonce-success', { nonce: null });
  await happy('ensure-authorization-request-with-64-char-nonce-success', { nonce: random(48) });
  await happy('ensure-authorization-request-with-long-nonce', { nonce: random(288) });
  await happy('ensure-authorization-request-with-long-state', { state: random(288) });
  await happy('ensure-other-scope-order-succeeds', { scope: 'profile openid' });
  const claims = await happy('test-claims-parameter-identity-claims', { claims: JSON.stringify({ userinfo: { name: { essential: true } } }) });
  check(name('test-claims-parameter-identity-claims: given'), typeof claims.about.body.name === 'string', claims.about.body);
  const lower = await rp.about(claims.tokens.access_token, { scheme: 'dpop' });
  check(name('access-token-type-header-case-sensitivity'), lower.status === 200, lower);

  // DPoP: what is made with care is taken
  for (const [module, change] of [
    ['check-dpop-proof-nbf-exp', () => ({ nbf: now(), exp: now() + 300 })],
    ['ensure-dpop-proof-with-iat-is-10-seconds-before-succeeds', () => ({ iat: now() - 10 })],
    ['ensure-dpop-proof-with-iat-is-10-seconds-after-succeeds', () => ({ iat: now() + 10 })],
  ]) {
    const got = await code(rp);
    const answer = await take(rp, got, {}, { dpop: (url) => rp.proof('POST', url, change()) });
    check(name(module), answer.status === 200, answer);
  }
  const jkt = thumbprint(rp.dpopKey);
  await happy('ensure-dpop-auth-code-binding-success', { dpop_jkt: jkt });
  await happy('ensure-dpop-proof-at-par-endpoint-binding-success', {}, { how: { dpop: true } });
  await refusedAtPush('ensure-mismatched-dpop-jkt-fails', ['invalid_request', 'invalid_dpop_proof'], { dpop_jkt: thumbprint(newKey()) }, { how: { dpop: true } });
  const stranger = newKey();
  for (const [module, fields, more] of [
    ['ensure-token-endpoint-fails-with-mismatched-dpop-jkt', { dpop_jkt: jkt }, {}],
    ['ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt', {}, { how: { dpop: true } }],
  ]) {
    const got = await code(rp, fields, more);
    const answer = await take(rp, got, {}, { dpop: (url) => rp.proof('POST', url, {}, {}, stranger) });
    check(name(module), answer.status === 400 && PROOF.includes(answer.error), answer);
  }

  // What an authorization request must not be
  await refusedAtPush('ensure-registered-redirect-uri / tolerate-unregistered-redirect-uri', ['invalid_request', ...OBJECT], { redirect_uri: `${redirect}/other` });
  await refusedAtPush('ensure-redirect-uri-in-authorization-request', ['invalid_request', ...OBJECT], { redirect_uri: null });
  await refusedAtPush('ensure-response-type-code-idtoken-fails', ['unsupported_response_type', 'invalid_request'], { response_type: 'code id_token' });
  await refusedAtPush('ensure-response-type-token-fails', ['unsupported_response_type', 'invalid_request'], { response_type: 'token' });
  await refusedAtPush('par-ensure-pkce-required', ['invalid_request'], { code_challenge: null, code_challenge_method: null });
  await refusedAtPush('par-ensure-plain-pkce-rejected', ['invalid_request'], { code_challenge_method: 'plain', code_challenge: random(32) });
  await refusedAtPush('par-authorization-request-containing-request_uri-form-param', ['invalid_request', 'request_uri_not_supported', ...OBJECT], {}, { beside: { request_uri: 'urn:ietf:params:oauth:request_uri:x' } });
  const direct = await rp.asks(rp.url({ ...rp.pkce().asked, state: 's', ...mode }), ...here);
  check(name('ensure-unsigned-authorization-request-without-using-par-fails'), direct.error === 'invalid_request', direct);
  const verb = await fetch(server.pushed_authorization_request_endpoint);
  check(name('par-attempt-invalid-http-method'), verb.status === 405, verb.status);

  // A pushed request's name
  const fresh = async () => (await push(rp, { ...rp.pkce().asked, state: 's' })).body.request_uri;
  const used = await fresh();
  check(name('par-attempt-reuse-request_uri'), (await rp.asks(named(rp, used), ...here)).code && (await rp.asks(named(rp, used), ...here)).page === true);
  check(name('par-ensure-request-uri-is-bound-to-client'), (await rp.asks(named(other, await fresh()), ...here)).page === true);
  const visited = await fresh();
  const look = await fetch(named(rp, visited), { redirect: 'manual' });
  const cookie = look.headers.getSetCookie()[0].split(';')[0];
  const reload = await fetch(named(rp, visited), { redirect: 'manual', headers: { cookie } });
  check(name('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds'), reload.status === 303 && reload.headers.get('location') === look.headers.get('location'), reload.status);

  // The token endpoint
  await refusedAtToken('ensure-client-id-in-token-endpoint', ['invalid_client', 'invalid_grant'], { client_id: other.id });
  await refusedAtToken('ensure-holder-of-key-required', PROOF, {}, { dpop: false });
  await refusedAtToken('ensure-authorization-code-is-bound-to-client', ['invalid_grant'], { redirect_uri: redirect }, undefined, other);
  await refusedAtToken('par-ensure-pkce-code-verifier-required', ['invalid_grant'], { code_verifier: undefined });
  await refusedAtToken('par-incorrect-pkce-code-verifier-rejected', ['invalid_grant'], { code_verifier: random(48) });
  const again = await take(rp, first);
  check(name('attempt-reuse-authorization-code-after-one-second'), again.status === 400 && again.error === 'invalid_grant', again);
  check(name('… and what it gave is taken back'), (await rp.about(first.tokens.access_token)).status === 401);

  // Client assertions, at both endpoints
  await refusedAtToken('ensure-signed-client-assertion-with-RS256-fails', ['invalid_client'], {}, { shown: { alg: 'RS256' } });
  await refusedAtToken('ensure-client-assertion-with-exp-is-5-minutes-in-past-fails', CLIENT, {}, { shown: { exp: now() - 300 } });
  await refusedAtToken('ensure-client-assertion-with-wrong-aud-fails', CLIENT, {}, { shown: { aud: 'https://example.com/' } });
  await refusedAtToken('ensure-client-assertion-with-no-sub-fails', CLIENT, {}, { shown: { sub: undefined } });
  const bare = await fetch(server.token_endpoint, { method: 'POST', body: new URLSearchParams({ grant_type: 'authorization_code', client_id: rp.id, code: 'x', redirect_uri: redirect }) });
  check(name('ensure-client-assertion-in-token-endpoint'), bare.status === 401 && (await bare.json()).error === 'invalid_client');
  const par = server.pushed_authorization_request_endpoint;
  await refusedAtPush('par-endpoint-as-audience-fails', CLIENT, {}, { how: { shown: { aud: par } } });
  await refusedAtPush('par-endpoint-as-array-audience-fails', CLIENT, {}, { how: { shown: { aud: [par] } } });
  await refusedAtPush('par-token-endpoint-as-audience-fails', CLIENT, {}, { how: { shown: { aud: server.token_endpoint } } });
  await refusedAtPush('par-ensure-jwt-client-assertion-with-iat-nbf-over-60-seconds-in-the-future-fails', CLIENT, {}, { how: { shown: { iat: now() + 70, nbf: now() + 70, exp: now() + 130 } } });
  const ahead = await push(rp, rp.pkce().asked, { how: { shown: { iat: now() + 8, nbf: now() + 8, exp: now() + 68 } } });
  check(name('par-ensure-jwt-client-assertion-with-iat-nbf-8-seconds-in-the-future-is-accepted'), ahead.status === 201, ahead);

  // Renewal
  const lasting = await happy('refresh-token');
  const renew = (who, how) => who.token({ grant_type: 'refresh_token', refresh_token: lasting.tokens.refresh_token }, how);
  const renewed = await renew(rp);
  check(name('refresh-token: renews, and does not rotate'), renewed.status === 200 && renewed.body.refresh_token === undefined && (await rp.about(renewed.body.access_token)).status === 200, renewed);
  check(name('refresh-token: for its own client alone'), (await renew(other)).error === 'invalid_grant');
  check(name('refresh-token: not without a key'), PROOF.includes((await renew(rp, { dpop: false })).error));
  return { rp, token: renewed.body.access_token, happy, refusedAtPush, push, OBJECT, name };
}

/** fapi2-security-profile-final-dpop-negative-tests, at the protected resource */
async function proofs({ rp, token }) {
  const at = (make) => rp.about(token, { dpop: make });
  const good = (url, change = {}, header = {}) => rp.proof('GET', url, { ath: rp.ath(token), ...change }, header);
  const dropped = (name) => (url) => {
    const [head, body, signature] = good(url).split('.');
    const { [name]: gone, ...rest } = JSON.parse(Buffer.from(head, 'base64url'));
    return [Buffer.from(JSON.stringify(rest)).toString('base64url'), body, signature].join('.');
  };
  for (const [what, make] of [
    ['not a JWT', () => 'not.a.jwt.at.all'],
    ['without typ', (url) => good(url, {}, { typ: undefined })],
    ['without alg', dropped('alg')],
    ['without jwk', (url) => good(url, {}, { jwk: undefined })],
    ...['jti', 'htm', 'htu', 'iat', 'ath'].map((claim) => [`without ${claim}`, (url) => good(url, { [claim]: undefined })]),
    ['another typ', (url) => good(url, {}, { typ: 'dpop' })],
    ['by RS256', (url) => weak({ typ: 'dpop+jwt', jwk: open(rp.dpopKey) }, { jti: random(), htm: 'GET', htu: url, iat: now() })],
    ['unsigned', (url) => `${dropped('x')(url).split('.').slice(0, 2).join('.')}.`],
    ['with another signature', (url) => `${good(url).slice(0, -20)}${'A'.repeat(20)}`],
    ['with its private key', (url) => good(url, {}, { jwk: rp.dpopKey })],
    ['another method', (url) => good(url, { htm: 'PUT' })],
    ['another address', (url) => good(url.replace('/userinfo', '/other'))],
    ['another token', (url) => good(url, { ath: rp.ath('other') })],
    ['another key', (url) => rp.proof('GET', url, { ath: rp.ath(token) }, {}, newKey())],
    ['none', () => undefined],
  ]) {
    const answer = await at(make);
    check(`dpop-negative-tests: ${what}`, [400, 401].includes(answer.status), answer);
  }
  const port = new URL(rp.server.userinfo_endpoint);
  for (const [what, make] of [
    ['query and fragment do not count', (url) => good(`${url}?a=b#c`)],
    ['what is unknown is passed over', (url) => good(url, { extra: 1 }, { extra: 'x' })],
    ['case of scheme and host does not count', (url) => good(url.replace(port.origin, port.origin.toUpperCase()))],
  ]) {
    const answer = await at(make);
    check(`dpop-negative-tests: ${what}`, answer.status === 200, answer);
  }
  check('dpop-negative-tests: as a bearer token', (await rp.about(token, { scheme: 'Bearer', dpop: false })).status === 401);
  const twice = await rp.send(rp.server.userinfo_endpoint, () => ({ headers: [['authorization', `DPoP ${token}`], ['dpop', good(rp.server.userinfo_endpoint)], ['dpop', good(rp.server.userinfo_endpoint)]] }));
  check('dpop-negative-tests: two proofs', [400, 401].includes(twice.status), twice);
  check('dpop-negative-tests: and a good one still works', (await at((url) => good(url))).status === 200);
}

/** What only signed requests can be wrong in */
async function objects({ rp, happy, refusedAtPush, OBJECT, name }) {
  await happy('ensure-server-accepts-request-object-with-multiple-aud', {}, { change: { aud: [rp.server.issuer, 'https://other.example'] } });
  await happy('ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted', {}, { change: { nbf: now() + 8 } });
  for (const [module, change] of [
    ['ensure-request-object-without-exp-fails', { exp: null }],
    ['ensure-request-object-without-nbf-fails', { nbf: null }],
    ['ensure-expired-request-object-fails', { exp: now() - 300 }],
    ['ensure-request-object-with-bad-aud-fails', { aud: 'https://other.example' }],
    ['ensure-request-object-with-exp-over-60-fails', { exp: now() + 70 * 60 }],
    ['ensure-request-object-with-nbf-over-60-fails', { nbf: now() - 70 * 60 }],
    ['par-authorization-request-containing-request_uri', { request_uri: 'urn:example:x' }],
  ]) await refusedAtPush(module, OBJECT, {}, { change });
  await refusedAtPush('ensure-signed-request-object-with-RS256-fails', OBJECT, {}, { sign: (claims) => weak({ kid: rp.key.kid }, claims) });
  await refusedAtPush('ensure-request-object-signature-algorithm-is-not-none', OBJECT, {}, { sign: (claims) => jwt({ alg: 'none' }, claims) });
  await refusedAtPush('ensure-request-object-with-invalid-signature-fails', OBJECT, {}, { sign: (claims) => `${jwt({}, claims, rp.key).slice(0, -20)}${'A'.repeat(20)}` });
  await refusedAtPush('ensure-matching-key-in-authorization-request', ['invalid_request', ...OBJECT], {}, { sign: (claims) => jwt({}, claims, newKey()) });
  await refusedAtPush('ensure-unsigned-request-at-par-endpoint-fails', ['invalid_request'], {}, { sign: null });
  const outside = await happy('state-only-outside-request-object-not-used', { state: null }, { beside: { state: 'outside' } });
  check(name('state-only-outside-request-object-not-used: it is not there'), outside.back.state === undefined, outside.back);
  const differs = await happy('ensure-different-state-inside-and-outside-request-object', { state: 'inside' }, { beside: { state: 'outside' } });
  check(name('ensure-different-state-inside-and-outside-request-object: the inner one'), differs.back.state === 'inside', differs.back);
  const nonces = await happy('ensure-different-nonce-inside-and-outside-request-object', { nonce: 'inside' }, { beside: { nonce: 'outside' } });
  check(name('ensure-different-nonce-inside-and-outside-request-object: the inner one'), (await rp.verified(nonces.tokens.id_token)).nonce === 'inside');
}

export async function fapi(server, clients, redirect, folder) {
  const plain = await plan(server, { one: clients.fapi, two: clients['fapi-2'], signed: false }, redirect, folder);
  await proofs(plain);
  await objects(await plan(server, { one: clients.signed, two: clients['signed-2'], signed: true }, redirect, folder));
}
