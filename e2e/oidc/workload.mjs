// A program that acts for itself, with openid-client: client credentials by its own key, with DPoP (RFC 6749 §4.4, RFC 7523, RFC 9449,
// RFC 8707). Nobody signs in. Needs
//   ISSUER        where the server is
//   WORKLOAD_KEY  a private JWK (ES256) whose public half the workload `e2e-robot` is registered with, for the audience
//                 https://stock.example and the scope `read`
import * as oidc from 'openid-client';
import { check, discover, finish, header, payload, refusal, settings } from './kit.mjs';

const { ISSUER, WORKLOAD_KEY } = settings('ISSUER', 'WORKLOAD_KEY');
const RESOURCE = 'https://stock.example';

async function robot() {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = await crypto.subtle.importKey('jwk', JSON.parse(WORKLOAD_KEY), algorithm, false, ['sign']);
  const config = await discover('e2e-robot', {}, oidc.PrivateKeyJwt(key));
  check('the grant is offered', config.serverMetadata().grant_types_supported.includes('client_credentials'));
  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  const ask = (more) => oidc.clientCredentialsGrant(config, { resource: RESOURCE, ...more }, { DPoP });
  const tokens = await ask({ scope: 'read' });
  const said = payload(tokens.access_token);
  check('a token of RFC 9068', header(tokens.access_token).typ === 'at+jwt' && said.iss === ISSUER && said.aud === RESOURCE, said);
  check('it says that it is a workload', said.workload?.environment === 'test' && said.client_id === 'e2e-robot' && said.sid === undefined, said);
  check('bound to its key', said.cnf?.jkt === (await DPoP.calculateThumbprint()), said.cnf);
  check('short, and not to be renewed', tokens.expires_in <= 300 && tokens.refresh_token === undefined && tokens.id_token === undefined, tokens);
  const seen = await oidc.tokenIntrospection(config, tokens.access_token);
  check('it may look at its own', seen.active === true && seen.scope === 'read', seen);
  await oidc.tokenRevocation(config, tokens.access_token);
  check('given back, it ends', (await oidc.tokenIntrospection(config, tokens.access_token)).active === false);
  check('another scope is refused', (await refusal(ask({ scope: 'write' }))) === 'invalid_scope');
  check('another resource is refused', (await refusal(ask({ resource: 'https://till.example' }))) === 'invalid_target');
  const bare = await refusal(oidc.clientCredentialsGrant(config, { resource: RESOURCE, scope: 'read' }));
  check('without its key it is refused', bare === 'invalid_dpop_proof', bare);
  const stranger = await crypto.subtle.generateKey(algorithm, false, ['sign']);
  const other = await discover('e2e-robot', {}, oidc.PrivateKeyJwt(stranger.privateKey));
  const heard = await refusal(oidc.clientCredentialsGrant(other, { resource: RESOURCE, scope: 'read' }, { DPoP }));
  check('another key is nobody', heard === 'invalid_client', heard);
}

await finish(robot);
