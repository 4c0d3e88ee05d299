// fapi-ciba-id1-test-plan ([client_auth_type=private_key_jwt][fapi_profile=plain_fapi][client_registration=static_client], poll and ping), module by
// module. What asks for mutual TLS (`discovery-end-point-verification`, `ensure-mtls-holder-of-key-required`, a part of `fapi-ciba-id1`) is not spoken
// here: keys are shown by DPoP, and that is what is checked in its place. Left out: modules for mutual TLS, RSA keys, and of national profiles.
import { createServer } from 'node:https';
import { check } from '../kit.mjs';
import { Rp, jwt, newKey, now, random, weak } from './rp.mjs';

const GRANT = 'urn:openid:params:grant-type:ciba';
const LONG = '1234 \u{1F44D}\u{1F3FF} 品川 Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam.';
const sleep = (s) => new Promise((done) => setTimeout(done, s * 1000));
/** What an error says, and nothing besides */
const bare = (answer) => Object.keys(answer.body ?? {}).every((name) => ['error', 'error_description', 'error_uri'].includes(name)) && !/[\r\n\t]/.test(answer.body?.error_description ?? '');

/** One mode. `people` answer in turn, as a person is asked ten times an hour: `{ login, answers(auth_req_id, action) }`. */
async function plan(server, mode, { one, two, people }, ears) {
  const name = (module) => `${mode}: ${module}`;
  const rp = new Rp(server, one);
  const other = new Rp(server, two);
  const at = server.backchannel_authentication_endpoint;
  let turn = 0;
  /** Whoever is asked next */
  const person = () => people[Math.floor(turn++ / 8) % people.length];

  /** The claims of a request; `null` leaves one out. */
  function claims(who, change = {}) {
    const word = mode === 'ping' ? { client_notification_token: random(21) } : {};
    const all = { iss: who.id, aud: server.issuer, iat: now(), nbf: now(), exp: now() + 300, jti: random(), scope: 'openid', binding_message: '1234', ...word, ...change };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  }
  const signed = (who, said, header = {}) => jwt({ kid: who.key.kid, ...header }, said, who.key);
  /** Sends a request as the suite does, without proofs, unless `how` says otherwise. */
  const send = (who, request, how) => who.post(at, { request }, { dpop: false, ...how });
  const poll = (who, id, how) => who.token({ grant_type: GRANT, auth_req_id: id }, { dpop: false, ...how });

  /** Asks somebody; `{ id, asked, who, heard }` */
  async function begun(who, change = {}, how, header) {
    const whom = person();
    const said = claims(who, { login_hint: whom.login, ...change });
    const asked = await send(who, signed(who, said, header), how);
    return { id: asked.body?.auth_req_id, asked, whom, told: said.client_notification_token };
  }
  /** In ping mode it is collected when the client was told, in poll mode when the person has answered. */
  async function answered({ id, whom, told }, action, reply) {
    const rings = mode === 'ping' ? ears.rings(id, reply) : undefined;
    await whom.answers(id, action);
    if (!rings) return;
    const ring = await rings;
    check(name('it is told, by its word, and of nothing else'), ring.authorization === `Bearer ${told}` && ring.kind.startsWith('application/json') && JSON.stringify(ring.body) === JSON.stringify({ auth_req_id: id }), ring);
  }
  /** From the request to the tokens */
  async function happy(module, who = rp, { change, how, header, reply } = {}) {
    const got = await begun(who, change, how, header);
    const good = got.asked.status === 200 && got.id?.length > 20 && got.asked.body.expires_in > 0 && got.asked.body.interval === 5;
    if (!good) return check(name(module), false, got.asked) ?? {};
    await answered(got, 'allow', reply);
    const answer = await poll(who, got.id, how);
    const about = answer.status === 200 && (await who.about(answer.body.access_token, how ? {} : { scheme: 'Bearer', dpop: false }));
    const told = answer.status === 200 && (await who.verified(answer.body.id_token));
    const strong = told && told.header.alg === 'ES256' && told.header.kid && answer.headers.get('cache-control') === 'no-store';
    check(name(module), strong && about.status === 200 && about.body.sub === told.sub, { answer, about });
    return { ...got, answer, tokens: answer.body, about };
  }
  /** Approves and collects what the module is done with, as often as it may ask. */
  async function settled(who, { id, whom }, how) {
    await whom.answers(id, 'allow');
    for (let tries = 0; tries < 4 && (await poll(who, id, how)).error === 'slow_down'; tries += 1) await sleep(5);
  }
  /** What is begun for an error at the token endpoint is answered afterwards: one waits at a time, and who refuses three times is asked no more. */
  async function atToken(module, status, errors, act) {
    const got = await begun(rp);
    const answer = await act(got.id);
    check(name(module), answer.status === status && errors.includes(answer.body?.error ?? answer.error) && bare(answer), answer);
    await settled(rp, got);
  }
  async function refused(module, change, { errors = ['invalid_request'], make = (said) => signed(rp, said), how } = {}) {
    const answer = await send(rp, make(claims(rp, { login_hint: people[0].login, ...change })), how);
    const status = { invalid_request: 400, invalid_binding_message: 400, access_denied: 403, invalid_client: 401 }[answer.error];
    check(name(module), errors.includes(answer.error) && answer.status === status && bare(answer), answer);
  }

  // Discovery, but for `tls_client_certificate_bound_access_tokens`
  check(name('discovery-end-point-verification'), server.backchannel_token_delivery_modes_supported.includes(mode) && at.startsWith(server.issuer) && server.backchannel_authentication_request_signing_alg_values_supported.includes('ES256') && server.backchannel_authentication_request_signing_alg_values_supported.every((alg) => ['ES256', 'PS256', 'EdDSA'].includes(alg)) && server.grant_types_supported.includes(GRANT) && server.token_endpoint_auth_methods_supported.includes('private_key_jwt') && (server.backchannel_user_code_parameter_supported ?? false) === false);

  // Well-behaved clients
  const first = await begun(rp);
  const pending = await poll(rp, first.id);
  check(name('fapi-ciba-id1: nobody has answered'), pending.status === 400 && pending.error === 'authorization_pending' && bare(pending), pending);
  await sleep(5);
  const still = await poll(rp, first.id);
  check(name('fapi-ciba-id1: nobody has answered five seconds later'), still.status === 400 && still.error === 'authorization_pending', still);
  await answered(first, 'allow');
  await sleep(mode === 'poll' ? 5 : 0);
  const given = await poll(rp, first.id);
  check(name('fapi-ciba-id1: first client'), given.status === 200 && (await rp.about(given.body.access_token, { scheme: 'Bearer', dpop: false })).status === 200, given);
  const query = await fetch(`${server.userinfo_endpoint}?access_token=${given.body?.access_token}`);
  check(name('fapi-ciba-id1: no token in a query'), query.status === 401, query.status);
  for (const accept of ['application/json; charset=utf-8, application/json', 'application/json, text/plain, */*']) {
    const about = await fetch(server.userinfo_endpoint, { headers: { accept, authorization: `Bearer ${given.body?.access_token}`, 'x-fapi-customer-ip-address': '2001:db8::1893:25c8:1946' } });
    check(name('fapi-ciba-id1: other headers'), about.status === 200 && about.headers.get('content-type').startsWith('application/json') && about.headers.has('date'), about.status);
  }
  const word = mode === 'ping' ? { client_notification_token: `${random(768).slice(0, 1023)}=` } : {};
  const second = await happy('fapi-ciba-id1: second client, with typ, a long word and a key', other, { change: word, header: { typ: 'oauth-authz-req+jwt' }, how: { dpop: true } });
  check(name('fapi-ciba-id1: bound to its key'), second.tokens?.token_type === 'DPoP', second.tokens?.token_type);
  const foreign = await rp.about(second.tokens?.access_token);
  check(name('fapi-ciba-id1: another key does not serve'), foreign.status === 401, foreign);
  const again = await poll(other, second.id, { dpop: true });
  check(name('fapi-ciba-id1: auth_req_id a second time'), again.status === 400 && again.error === 'invalid_grant' && bare(again), again);

  const left = await begun(rp);
  await answered(left, 'deny');
  const no = await poll(rp, left.id);
  check(name('user-rejects-authentication'), no.status === 400 && no.error === 'access_denied' && bare(no), no);

  const often = await begun(rp);
  const told = [];
  for (let tries = 0; tries < 20; tries += 1) told.push(await poll(rp, often.id));
  check(name('multiple-call-to-token-endpoint'), told.every((a) => (a.status === 400 && ['authorization_pending', 'slow_down', 'invalid_request'].includes(a.error)) || a.status === 503), told.at(-1));
  check(name('… and it is told to slow down'), told.at(-1).error === 'slow_down', told.at(-1));
  await often.whom.answers(often.id, 'deny');

  await happy('ensure-authorization-request-with-binding-message-succeeds', rp, { change: { binding_message: '1234' } });
  await happy('ensure-other-scope-order-succeeds', rp, { change: { scope: 'profile openid' } });
  const brief = await happy('ensure-requested-expiry-as-string-succeeds', rp, { change: { requested_expiry: '30' } });
  check(name('… and it is what was asked for'), brief.asked?.body.expires_in === 30, brief.asked?.body);
  await refused('ensure-authorization-request-with-potentially-bad-binding-message', { binding_message: LONG.repeat(3) }, { errors: ['invalid_binding_message'] });

  // Request objects
  await refused('ensure-request-object-missing-aud-fails', { aud: null });
  await refused('ensure-request-object-bad-aud-fails', { aud: 'https://www.other1.example.com/' });
  await refused('ensure-request-object-missing-iss-fails', { iss: null });
  await refused('ensure-request-object-bad-iss-fails', { iss: `${rp.id}1` });
  await refused('ensure-request-object-missing-exp-fails', { exp: null });
  await refused('ensure-request-object-expired-exp-fails', { exp: now() - 300 });
  await refused('ensure-request-object-exp-is-70-minutes-in-future-fails', { exp: now() + 70 * 60 });
  await refused('ensure-request-object-missing-iat-fails', { iat: null });
  await refused('ensure-request-object-missing-nbf-fails', { nbf: null });
  await refused('ensure-request-object-nbf-is-10-minutes-in-future-fails', { nbf: now() + 600 });
  await refused('ensure-request-object-nbf-is-70-minutes-in-past-fails', { nbf: now() - 70 * 60 });
  await refused('ensure-request-object-missing-jti-fails', { jti: null });
  await refused('ensure-request-object-signature-algorithm-is-none-fails', {}, { make: (said) => jwt({ alg: 'none' }, said) });
  await refused('ensure-request-object-signature-algorithm-is-bad-fails', {}, { make: (said) => signed(rp, said).replace(/[^.]*$/, (s) => s.split('').reverse().join('')) });
  await refused('ensure-request-object-signature-algorithm-is-RS256-fails', {}, { make: (said) => weak({ kid: rp.key.kid }, said) });
  await refused('ensure-request-object-signed-by-other-client-fails', {}, { make: (said) => jwt({ kid: rp.key.kid }, said, { ...newKey() }) });
  await refused('… and by the second client', {}, { make: (said) => signed(other, said) });
  await refused('ensure-authorization-request-with-multiple-hints-fails', { login_hint_token: 'xxxxxxxxxxxxxxxxxxxx' });
  const { client_notification_token: outside, ...plain } = claims(rp, { login_hint: people[0].login });
  const unsigned = await rp.post(at, { ...plain, ...(outside ? { client_notification_token: outside } : {}) }, { dpop: false });
  check(name('ensure-unsigned-backchannel-authorization-request-fails'), unsigned.status === 400 && unsigned.error === 'invalid_request' && bare(unsigned), unsigned);

  // Who asks
  const stranger = await fetch(at, { method: 'POST', body: new URLSearchParams({ client_id: rp.id, request: signed(rp, claims(rp, { login_hint: people[0].login })) }) });
  check(name('ensure-without-client-assertion-in-backchannel-authorization-request'), stranger.status === 401 && (await stranger.json()).error === 'invalid_client', stranger.status);
  await refused('ensure-client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails', {}, { errors: ['invalid_client', 'invalid_request', 'access_denied'], how: { shown: { alg: 'RS256' } } });
  await atToken('ensure-wrong-auth-req-id-in-token-endpoint-request', 400, ['invalid_grant'], (id) => poll(other, id));
  await atToken('ensure-without-client-assertion-in-token-endpoint-request', 401, ['invalid_client'], async (id) => {
    const answer = await fetch(server.token_endpoint, { method: 'POST', body: new URLSearchParams({ grant_type: GRANT, auth_req_id: id, client_id: rp.id }) });
    return { status: answer.status, body: await answer.json() };
  });
  await atToken('ensure-client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails', 401, ['invalid_client'], (id) => poll(rp, id, { shown: { alg: 'RS256' } }));
  await atToken('ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds', 400, ['authorization_pending'], (id) => poll(rp, id, { shown: { aud: server.issuer } }));
  await atToken('… where a key began it, it is asked for', 400, ['invalid_dpop_proof', 'invalid_grant'], async (id) => {
    const bound = await begun(other, {}, { dpop: true });
    const answer = await poll(other, bound.id);
    await settled(other, bound, { dpop: true });
    return answer.status === 200 || !id ? { status: 200 } : answer;
  });

  // What the client answers when it is told
  if (mode === 'ping') {
    for (const [module, reply] of [
      ['has-body', { status: 200, body: 'a body' }],
      ['401', { status: 401, body: 'no' }],
      ['403', { status: 403, body: 'no' }],
      ['return-redirect-request', { status: 301, location: '/invalid' }],
    ]) {
      const got = await happy(`ping-backchannel-notification-endpoint-response-${module}`, rp, { reply });
      if (reply.status > 299) await sleep(2);
      check(name(`… ${module}: once, and nowhere else`), ears.count(got.id) === 1 && ears.strayed() === 0, ears.count(got.id));
    }
  }

  // Renewal
  for (const who of [rp, other]) {
    const lasting = await happy('refresh-token', who);
    const renewed = await who.token({ grant_type: 'refresh_token', refresh_token: lasting.tokens?.refresh_token }, { dpop: false });
    check(name('refresh-token: renewed'), renewed.status === 200 && (await who.about(renewed.body.access_token, { scheme: 'Bearer', dpop: false })).status === 200, renewed);
    if (who === other) {
      const theirs = await rp.token({ grant_type: 'refresh_token', refresh_token: renewed.body?.refresh_token }, { dpop: false });
      check(name('refresh-token: bound to its client'), [400, 401].includes(theirs.status) && ['invalid_grant', 'invalid_client', 'invalid_request'].includes(theirs.error), theirs);
    }
  }

  // Nobody answers
  const over = await begun(rp, { requested_expiry: 10 });
  check(name('auth-req-id-expired: it may be longer than was asked for'), over.asked.body?.expires_in > 0 && over.asked.body.expires_in <= 30, over.asked);
  await sleep(over.asked.body.expires_in + 1);
  const late = await poll(rp, over.id);
  check(name('auth-req-id-expired'), late.status === 400 && late.error === 'expired_token' && bare(late), late);
}

/** Where the suite's clients are told: each request once, answered as `reply` says. */
class Ears {
  #waits = new Map();
  #heard = [];
  #strayed = 0;
  async open(port, certificate, path) {
    this.server = createServer(certificate, async (asking, reply) => {
      let text = '';
      for await (const part of asking) text += part;
      if (asking.url !== path) {
        // A log-out of an earlier part, which is tried again until somebody hears it, is none of these.
        if (!asking.url.endsWith('/backchannel_logout')) this.#strayed += 1;
        return reply.writeHead(204).end();
      }
      const body = JSON.parse(text);
      this.#heard.push(body.auth_req_id);
      const { done, answer } = this.#waits.get(body.auth_req_id) ?? {};
      reply.writeHead(answer?.status ?? 204, answer?.location ? { location: answer.location } : {}).end(answer?.body);
      done?.({ authorization: asking.headers.authorization, kind: asking.headers['content-type'], body });
    });
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
  }
  rings(id, answer) {
    return new Promise((done) => this.#waits.set(id, { done, answer }));
  }
  count = (id) => this.#heard.filter((one) => one === id).length;
  strayed = () => this.#strayed;
  close = () => this.server.close();
}

export async function ciba(server, clients, redirect, people, { port, ...certificate }) {
  const ears = new Ears();
  await ears.open(port, certificate, new URL(redirect.replace(/callback$/, 'ciba-notification-endpoint')).pathname);
  const half = Math.ceil(people.length / 2);
  try {
    // Nobody is asked ten times an hour in both.
    await Promise.all([
      plan(server, 'poll', { one: clients.poll, two: clients['poll-2'], people: people.slice(0, half) }, ears),
      plan(server, 'ping', { one: clients.ping, two: clients['ping-2'], people: people.slice(half) }, ears),
    ]);
  } finally {
    ears.close();
  }
}
