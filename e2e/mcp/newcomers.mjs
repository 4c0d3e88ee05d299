// Programs that nobody listed, by the MCP TypeScript SDK's own sign-in: it finds the server (RFC 9728, RFC 8414), names itself by a
// document of its own or registers with the operator's token, signs a person in (PKCE, `resource`) and shows a key where it has one.
// Starts what it needs.
import { DpopSession } from '@modelcontextprotocol/client';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { House } from '../browser/stage/house.js';
import { freePort } from '../browser/stage/server.js';
import { check, code, finish, hashed, within, words } from './kit.mjs';
import { REDIRECT, person } from './person.mjs';

const TOKEN = 'an initial access token, only for tests';

// Where a program's document stands: the SDK knows https alone. Its certificate is of an authority that the server is told of.
const authority = await House.build({ name: 'localhost' });
process.env.SSL_CERT_FILE = authority.path('ca.pem');
const port = await freePort();
const address = `https://localhost:${port}/client.json`;
let asked = 0;
const site = createServer({ cert: readFileSync(authority.path('fullchain.pem')), key: readFileSync(authority.path('key.pem')) }, (request, response) => {
  asked += 1;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ client_id: address, client_name: 'Notes', redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' }));
}).listen(port, '127.0.0.1');

const rules = (more) => (resource) => `[newcomers]\nhosts = ["localhost"]\ntoken_hash = "${hashed(TOKEN)}"\nscopes = ["read"]\naudience = "${resource}"\n${more}`;
/** `fetch` of a program that was given the operator's token, which the SDK has no place for */
const allowed = (input, options = {}) => {
  if (!String(input).endsWith('/register')) return fetch(input, options);
  const headers = new Headers(options.headers);
  headers.set('authorization', `Bearer ${TOKEN}`);
  return fetch(input, { ...options, headers });
};
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const ways = [
  ['by its document', { clientMetadataUrl: address }, fetch, (id) => id === address, 'Notes (localhost)'],
  ['by registering', {}, allowed, (id) => id.startsWith('self-'), 'Notes (registered by itself)'],
];

await within({ more: rules('') }, async (all) => {
  const { house, resource, decides, client } = all;
  for (const [way, more, by, isNamed, name] of ways) {
    const [kept, session] = [{}, await DpopSession.create()];
    const provider = person(kept, { ...more, dpop: () => session });
    const heard = await all.signsIn(provider, kept, by);
    const query = kept.url?.searchParams;
    check(`${way}: it has a name`, isNamed(kept.client?.client_id ?? ''), [heard, kept.client]);
    check(`${way}: it asks as it should`, query?.get('code_challenge_method') === 'S256' && query.get('resource') === resource && query.get('scope') === 'read', kept.url);
    check(`${way}: its token is for this server and its key`, kept.tokens?.token_type === 'DPoP', [heard, kept.tokens]);
    const said = claims(kept.tokens.access_token);
    check(`${way}: and says so`, said.cnf.jkt === session.thumbprint && [said.aud].flat().join() === resource && said.scope === 'read', said);
    const mine = client(provider, by);
    await mine.connect();
    const stock = await code(mine.client.callTool({ name: 'read_stock', arguments: { item: 'pens' } }));
    check(`${way}: a call goes through`, words(stock) === '7 pens', stock);
    const [yes, read] = await Promise.all([code(mine.client.callTool({ name: 'refund', arguments: { order: 'A-1' } })), decides('approve')]);
    check(`${way}: a sensitive one waits for the phone, which says where it comes from`, words(yes) === 'refunded A-1' && read.includes(name), [yes, read]);
    await mine.client.close();
    // Its token in other hands.
    for (const [what, dpop] of [['without its key', undefined], ['with another key', await DpopSession.create()]]) {
      const loot = { client: kept.client, tokens: kept.tokens };
      const thief = client(person(loot, { ...more, ...(dpop && { dpop: () => dpop }) }), by);
      const got = await code(thief.connect());
      check(`${way}: its token opens nothing ${what}`, got?.thrown !== undefined && loot.url !== undefined, got);
    }
  }
  check('a document is read once while it counts', asked === 1, asked);
  // A program of this SDK that shows no key gets nothing where the operator did not say that it may.
  for (const [way, more, by] of ways) {
    const kept = {};
    const heard = await all.signsIn(person(kept, more), kept, by);
    check(`${way}, without a key: refused`, heard?.thrown === 'invalid_dpop_proof' && kept.tokens === undefined, [heard, kept.tokens]);
  }
  const kept = {};
  const stranger = await all.signsIn(person(kept), kept, fetch);
  check('nobody registers without the operator\'s token', /401|invalid_token/.test(stranger?.said ?? '') && kept.client === undefined, [stranger, kept.client]);
  const log = house.command(['log', 'tail', '-n', '500', '--json']).split('\n').filter((l) => l.includes('"tool.called"'));
  check('each call is in the log', log.length === 4, log.length);
});

await within({ more: rules('danger_allow_bearer = true\n') }, async (all) => {
  for (const [way, more, by] of ways) {
    const kept = {};
    const provider = person(kept, more);
    const heard = await all.signsIn(provider, kept, by);
    check(`${way}, where bearer tokens are allowed: one that lives a minute`, kept.tokens?.token_type === 'Bearer' && kept.tokens.expires_in <= 60, [heard, kept.tokens]);
    const mine = all.client(provider, by);
    await mine.connect();
    const [yes] = await Promise.all([code(mine.client.callTool({ name: 'refund', arguments: { order: 'B-1' } })), all.decides('approve')]);
    check(`${way}, where bearer tokens are allowed: a sensitive call asks its person all the same`, words(yes) === 'refunded B-1', yes);
    await mine.client.close();
  }
});
site.close();
await authority.close();
finish();
