// A client without a browser, with openid-client: the device grant (RFC 8628). The person, played by `countersign-device`, types the
// code on their phone. Once the key is shown from the beginning (the library shows it at the token endpoint; its hook for requests adds
// the proof before), once from the token endpoint on, once not at all. Needs what `signin.mjs` needs.
import * as oidc from 'openid-client';
import { check, discover, finish, payload, refusal, settings, showing, types } from './kit.mjs';

const { ISSUER } = settings('ISSUER', 'PLAY', 'STATE');
const SCOPE = 'openid profile';
const PAYMENT = [{ type: 'payment', amount: '12.50', currency: 'EUR', to: 'Blumen Ana', account: 'AT611904300234573201' }];

async function bound() {
  const config = await discover('tv', {}, oidc.None());
  const server = config.serverMetadata();
  check('the endpoint is offered', server.device_authorization_endpoint === `${ISSUER}/device_authorization`, server.device_authorization_endpoint);
  const bare = await refusal(oidc.initiateDeviceAuthorization(config, { scope: SCOPE }));
  check('without its key it begins nothing', bare === 'invalid_dpop_proof', bare);
  const pair = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
  config[oidc.customFetch] = showing(pair, '/device_authorization');
  const DPoP = oidc.getDPoPHandle(config, pair);
  const asked = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE, authorization_details: JSON.stringify(PAYMENT) });
  check('a code that people can type', /^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/.test(asked.user_code), asked.user_code);
  check('the complete address has it behind #', asked.verification_uri_complete === `${asked.verification_uri}#${asked.user_code}`, asked);
  const [tokens] = await Promise.all([oidc.pollDeviceAuthorizationGrant(config, asked, undefined, { DPoP }), types(asked.verification_uri_complete)]);
  const said = payload(tokens.access_token);
  check('bound to the key that asked', tokens.token_type === 'dpop' && said.cnf?.jkt === (await DPoP.calculateThumbprint()), tokens.token_type);
  check('it says how it was approved', tokens.claims().acr === 'urn:countersign:acr:xd2' && said.cs.channel === 'user_code', said.cs);
  check('the payment is in it', JSON.stringify(said.authorization_details) === JSON.stringify(PAYMENT), said.authorization_details);
  const person = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP });
  check('it is about the person', person.name === 'Administrator', person);
  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  check('it is renewed', renewed.refresh_token !== tokens.refresh_token && renewed.scope === SCOPE, renewed.scope);
  const other = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const stolen = await refusal(oidc.refreshTokenGrant(config, renewed.refresh_token, undefined, { DPoP: other }));
  check('by that key alone', stolen === 'invalid_grant', stolen);
}

async function stolen() {
  const config = await discover('tv', {}, oidc.None());
  const pair = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
  config[oidc.customFetch] = showing(pair, '/device_authorization');
  const asked = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  await types(asked.user_code);
  const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const heard = await refusal(oidc.pollDeviceAuthorizationGrant(config, asked, undefined, { DPoP: thief }));
  check('who finds the code without its key gets nothing', heard === 'invalid_grant', heard);
}

async function refused() {
  const config = await discover('tv', {}, oidc.None());
  const pair = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
  config[oidc.customFetch] = showing(pair, '/device_authorization');
  const DPoP = oidc.getDPoPHandle(config, pair);
  const asked = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  const [heard] = await Promise.all([refusal(oidc.pollDeviceAuthorizationGrant(config, asked, undefined, { DPoP })), types(asked.user_code, '--refuse').catch(() => {})]);
  check('a refusal is told', heard === 'access_denied', heard);
}

async function loose() {
  const config = await discover('loose-tv', {}, oidc.None());
  const asked = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  const [tokens] = await Promise.all([oidc.pollDeviceAuthorizationGrant(config, asked), types(asked.user_code)]);
  check('without a key a bearer token, and a short one', tokens.token_type === 'bearer' && tokens.expires_in <= 60, tokens);
  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const later = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  const [bound] = await Promise.all([oidc.pollDeviceAuthorizationGrant(config, later, undefined, { DPoP }), types(later.user_code)]);
  check('with a key at the token endpoint a bound one', bound.token_type === 'dpop', bound.token_type);
}

async function confidential() {
  const config = await discover('cabinet', {}, oidc.ClientSecretBasic(process.env.API_SECRET));
  const asked = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  const nobody = await discover('cabinet', {}, oidc.None());
  const heard = await refusal(oidc.initiateDeviceAuthorization(nobody, { scope: SCOPE }));
  check('a client with a secret shows it', heard === 'invalid_client', heard);
  await types(asked.user_code);
  const again = await refusal(oidc.pollDeviceAuthorizationGrant(nobody, asked));
  check('at both endpoints', again === 'invalid_client', again);
  const till = await discover('e2e', {}, oidc.None());
  const other = await refusal(oidc.initiateDeviceAuthorization(till, { scope: SCOPE }));
  check('who is not registered for it may not', other === 'unauthorized_client', other);
}

await finish(bound, stolen, refused, loose, confidential);
