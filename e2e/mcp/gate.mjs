// An agent, a person's program and an MCP server, all by the MCP TypeScript SDK, with `countersign mcp-gate` between them and the
// software phone as the owner. Starts what it needs.
import { DpopSession, PrivateKeyJwtProvider } from '@modelcontextprotocol/client';
import { generateKeyPairSync } from 'node:crypto';
import { check, code, finish, within, words } from './kit.mjs';
import { REDIRECT, person } from './person.mjs';

const desk = (resource) => ({ id: 'desk', name: 'A desk program', redirect: REDIRECT, scopes: ['profile'], more: `audience = "${resource}"\ndanger_allow_bearer = true` });

await within({ clients: (resource) => [desk(resource)] }, async ({ house, resource, reached, phone, decides, client: connected, play, file }) => {
  const device = JSON.parse(await phone('list', '--json')).devices[0].id;
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const register = (id, more) => {
    const until = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
    const keys = [key.publicKey.export({ format: 'jwk' })];
    const text = JSON.stringify({ id, name: 'Stock agent', owner: 'admin', until, environment: 'test', keys, audiences: [resource], scopes: ['read'], ...more });
    house.command(['workload', 'add', '--file', file(`${id}.json`, text)]);
  };
  register('stock-agent', { agent: { device, tools: ['read_stock', 'refund'], ask: ['refund'] } });

  const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' });
  /** The agent, as the SDK has it, with a key that it shows (RFC 9449) */
  const keyed = async () => {
    const session = await DpopSession.create();
    const provider = new PrivateKeyJwtProvider({ clientId: 'stock-agent', privateKey: pem, algorithm: 'ES256', scope: 'read', expectedIssuer: house.issuer });
    return Object.assign(provider, { dpop: () => session });
  };
  for (const [era, versions] of [['2025', { mode: 'legacy' }], ['2026-07-28', { mode: { pin: '2026-07-28' } }]]) {
    const { client, connect } = connected(await keyed(), fetch, versions);
    await connect();
    const { tools } = await client.listTools();
    check(`${era}: the SDK finds its way to a token and lists the tools`, tools.map((t) => t.name).join() === 'read_stock,refund', tools);
    const stock = await code(client.callTool({ name: 'read_stock', arguments: { item: 'pens', region: 'nördlich' } }));
    check(`${era}: a call goes through`, words(stock) === '7 pens', stock);
    const repeated = era === '2025' ? undefined : '=?base64?bsO2cmRsaWNo?=';
    check(`${era}: with the argument that its header repeats`, reached.at(-1)['mcp-param-region'] === repeated, reached.at(-1));
    const order = { name: 'refund', arguments: { order: `A-${era}` } };
    const [yes, read] = await Promise.all([code(client.callTool(order)), decides('approve')]);
    check(`${era}: a sensitive one waits for the phone`, words(yes) === `refunded A-${era}`, yes);
    check(`${era}: the phone shows what it is about`, ['Stock agent', 'refund', resource, `A-${era}`].every((w) => read.includes(w)), read);
    const before = reached.length;
    const [no] = await Promise.all([code(client.callTool(order)), decides('refuse')]);
    check(`${era}: once, and a no is told`, no.thrown === -32001 && no.data?.reason === 'denied', no);
    register('stock-agent', { agent: { device, tools: ['refund'], ask: ['refund'] } });
    const gone = await code(client.callTool({ name: 'read_stock', arguments: { item: 'pens' } }));
    check(`${era}: a tool that is not registered any more`, gone.thrown === -32001 && gone.data?.reason === 'denied', gone);
    register('stock-agent', { agent: { device, tools: ['read_stock', 'refund'], ask: ['refund'] } });
    house.command(['signal', 'raise', 'device.noncompliant', device]);
    const ill = await code(client.callTool({ name: 'read_stock', arguments: { item: 'pens' } }));
    check(`${era}: nothing from a device in trouble`, ill.thrown !== undefined, ill);
    house.command(['signal', 'clear', 'device.noncompliant', device]);
    check(`${era}: none of it reached the server`, reached.length === before, reached.length - before);
    await client.close();
  }

  // A token that was passed on.
  const own = await keyed();
  const { client, connect } = connected(own, fetch);
  await connect();
  await client.close();
  const tokens = await own.tokens();
  for (const [what, dpop] of [['without its key', undefined], ['with another key', await DpopSession.create()]]) {
    const loot = { client: { client_id: 'stock-agent', issuer: house.issuer }, tokens };
    const thief = connected(person(loot, dpop && { dpop: () => dpop }), fetch);
    const heard = await code(thief.connect());
    check(`a token that was passed on opens nothing ${what}`, heard?.thrown !== undefined && loot.url !== undefined, heard);
  }

  // A person's own program: the SDK's whole way by browser, a bearer token, and a question for a sensitive tool all the same.
  const kept = { client: { client_id: 'desk', issuer: house.issuer } };
  const somebody = person(kept, { clientMetadata: { client_name: 'A desk program', redirect_uris: [REDIRECT], scope: 'openid profile' } });
  const first = connected(somebody, fetch);
  const sent = await code(first.connect());
  check('a person is sent to sign in', kept.url?.origin === new URL(house.issuer).origin && kept.url.searchParams.get('resource') === resource, [sent, kept.url]);
  await first.transport.finishAuth((await play(kept.url)).searchParams);
  const second = connected(somebody, fetch);
  await second.connect();
  const [mine] = await Promise.all([code(second.client.callTool({ name: 'refund', arguments: { order: 'B-1' } })), decides('approve')]);
  check('a person is asked for a sensitive tool, too', words(mine) === 'refunded B-1', mine);
  await second.client.close();

  const told = reached.map((headers) => JSON.stringify(headers));
  check('nobody\'s token reached the server', told.length > 5 && told.every((t) => !/authorization|dpop|cookie|eyJ/i.test(t)), told.find((t) => /eyJ/.test(t)));
  const log = house.command(['log', 'tail', '-n', '500', '--json']).split('\n').filter((l) => l.includes('"tool.called"'));
  check('each call is in the log', log.length === 5, log.length);
});
finish();
