// Asking a person by name, with openid-client: CIBA. A counter asks by itself whether there is something (poll), by the digits that it
// shows; a hotline signs its requests and is told when there is something to collect (ping), as FAPI-CIBA asks; an old one has no key. The
// person, played by `countersign-device`, has a page open and takes what is offered. Needs what `signin.mjs` needs, with API_SECRET,
//   CLIENT_KEY  a private JWK (ES256) whose public half the client `hotline` is registered with
//   HEARS       port of this machine where that client's `notification_endpoint` leads, path /told
import * as oidc from 'openid-client';
import { SignJWT } from 'jose';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { answers, check, discover, finish, payload, refusal, settings, showing } from './kit.mjs';

const { ISSUER, API_SECRET, CLIENT_KEY, HEARS } = settings('ISSUER', 'PLAY', 'STATE', 'API_SECRET', 'CLIENT_KEY', 'HEARS');
const WHO = { scope: 'openid profile', login_hint: 'admin' };
const HERE = JSON.stringify({ ip_address: '127.0.0.1' });
const PAYMENT = [{ type: 'payment', amount: '12.50', currency: 'EUR', to: 'Blumen Ana', account: 'AT611904300234573201' }];
const same = (seen) => JSON.stringify(seen) === JSON.stringify(PAYMENT);

/** A client with a key that it shows from the beginning. */
async function keyed(client, authentication) {
  const config = await discover(client, {}, authentication);
  const pair = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
  config[oidc.customFetch] = showing(pair, '/bc-authorize');
  return [config, oidc.getDPoPHandle(config, pair)];
}

/** Collects at once, once the person has decided. */
const collect = (config, asked, DPoP) => oidc.pollBackchannelAuthenticationGrant(config, { ...asked, interval: 0 }, undefined, { DPoP });

async function poll() {
  const [config, DPoP] = await keyed('counter', oidc.ClientSecretBasic(API_SECRET));
  const server = config.serverMetadata();
  check('the endpoint is offered', server.backchannel_authentication_endpoint === `${ISSUER}/bc-authorize`, server.backchannel_authentication_endpoint);
  const bare = await discover('counter', {}, oidc.ClientSecretBasic(API_SECRET));
  const keyless = await refusal(oidc.initiateBackchannelAuthentication(bare, { ...WHO, binding_message: '739204' }));
  check('without its key it begins nothing', keyless === 'invalid_dpop_proof', keyless);
  const message = { binding_message: 'Counter 3, number 739204', request_context: HERE };
  const asked = await oidc.initiateBackchannelAuthentication(config, { ...WHO, ...message, authorization_details: JSON.stringify(PAYMENT) });
  check('it is told how long, and how often it may ask', asked.expires_in === 300 && asked.interval === 5, asked);
  const again = await refusal(oidc.initiateBackchannelAuthentication(config, { ...WHO, ...message }));
  check('one waits at a time', again === 'temporarily_unavailable', again);
  const [tokens] = await Promise.all([oidc.pollBackchannelAuthenticationGrant(config, asked, undefined, { DPoP }), answers('--digits', '739204')]);
  const said = payload(tokens.access_token);
  check('bound to the key that asked', tokens.token_type === 'dpop' && said.cnf?.jkt === (await DPoP.calculateThumbprint()), tokens.token_type);
  check('it says how it was approved', tokens.claims().acr === 'urn:countersign:acr:xd2-push' && said.cs.channel === 'push', said.cs);
  check('the payment is in it', same(said.authorization_details) && same(tokens.authorization_details), said.authorization_details);
  const person = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP });
  check('it is about the person', person.name === 'Administrator', person);
  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  check('it is renewed', renewed.refresh_token !== tokens.refresh_token, renewed.scope);

  const hint = { scope: 'openid', id_token_hint: tokens.id_token };
  const by = await oidc.initiateBackchannelAuthentication(config, { ...hint, ...message });
  await answers('--refuse').catch(() => {});
  const no = await refusal(collect(config, by, DPoP));
  check('a refusal is told', no === 'access_denied', no);
  const nobody = await refusal(oidc.initiateBackchannelAuthentication(config, { ...WHO, ...message, login_hint: 'nobody' }));
  check('a name that nobody has', nobody === 'unknown_user_id', nobody);
  const plain = await refusal(oidc.initiateBackchannelAuthentication(config, { ...WHO, binding_message: 'no digits' }));
  check('a message without digits', plain === 'invalid_binding_message', plain);
}

async function ping() {
  const key = await crypto.subtle.importKey('jwk', JSON.parse(CLIENT_KEY), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  const [config, DPoP] = await keyed('hotline', oidc.PrivateKeyJwt(key));
  const token = randomUUID();
  let rings;
  const rung = new Promise((resolve) => (rings = resolve));
  const ear = createServer((request, response) => {
    let body = '';
    request.on('data', (some) => (body += some));
    request.on('end', () => {
      response.writeHead(204).end();
      rings([request.method, request.url, request.headers.authorization, body]);
    });
  });
  await new Promise((resolve) => ear.listen(HEARS, '127.0.0.1', resolve));
  const wants = { ...WHO, binding_message: 'Call 17: 739204', client_notification_token: token, authorization_details: PAYMENT, requested_expiry: '60', request_context: { ip_address: '127.0.0.1' } };
  const now = Math.floor(Date.now() / 1000);
  const about = { iss: 'hotline', aud: ISSUER, iat: now, nbf: now, exp: now + 60, jti: randomUUID() };
  const request = await new SignJWT({ ...wants, ...about }).setProtectedHeader({ alg: 'ES256' }).sign(key);
  const unsigned = await refusal(oidc.initiateBackchannelAuthentication(config, { ...WHO, binding_message: '739204', client_notification_token: token }));
  check('without a signature it is refused', unsigned === 'invalid_request', unsigned);
  const asked = await oidc.initiateBackchannelAuthentication(config, { request });
  check('it lives as long as it asked for', asked.expires_in === 60, asked);
  const early = await Promise.race([rung, answers('--digits', '739204').then(() => 'approved')]);
  check('it is told soon after the approval', early === 'approved' || early[0] === 'POST', early);
  const [method, url, authorization, body] = await rung;
  check('by its own word, and nothing but the id', method === 'POST' && url === '/told' && authorization === `Bearer ${token}` && body === JSON.stringify({ auth_req_id: asked.auth_req_id }), body);
  const tokens = await collect(config, asked, DPoP);
  check('then it collects', tokens.token_type === 'dpop' && same(tokens.authorization_details), tokens);
  const again = await refusal(collect(config, asked, DPoP));
  check('once', again === 'invalid_grant', again);
  const twice = await refusal(oidc.initiateBackchannelAuthentication(config, { request }));
  check('and a signed request serves once', twice === 'invalid_request', twice);
  ear.close();
}

async function loose() {
  const config = await discover('old-counter', {}, oidc.ClientSecretBasic(API_SECRET));
  const asked = await oidc.initiateBackchannelAuthentication(config, { ...WHO, binding_message: '739204' });
  await answers('--digits', '739204');
  const tokens = await collect(config, asked);
  check('without a key a bearer token, and a short one', tokens.token_type === 'bearer' && tokens.expires_in <= 60, tokens.expires_in);
  const nobody = await discover('tv', {}, oidc.None());
  const other = await refusal(oidc.initiateBackchannelAuthentication(nobody, WHO));
  check('who is not registered for it may not', other === 'unauthorized_client', other);
}

await finish(poll, ping, loose);
