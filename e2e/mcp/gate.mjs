// An agent, a person's program and an MCP server, all by the MCP TypeScript SDK, with `countersign mcp-gate` between them and the
// software phone as the owner. Starts what it needs.
import { Client, PrivateKeyJwtProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server';
import { execFile, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as z from 'zod';
import { freePort, program, serve } from '../browser/stage/server.js';
import { bound } from './dpop.mjs';

const DEVICE = program('countersign-device');
const HERE = mkdtempSync(join(tmpdir(), 'countersign-mcp-'));
const SECRET = 'a secret only for tests';
const run = promisify(execFile);

let passed = 0;
let failed = 0;
function check(what, good, seen) {
  if (good) passed += 1;
  else {
    failed += 1;
    console.error(`not so: ${what}${seen === undefined ? '' : `; seen: ${JSON.stringify(seen)}`}`);
  }
}
const code = (promise) => promise.then((r) => r, (e) => ({ thrown: e.code ?? e.name, said: e.message, data: e.data }));

// The server behind the gate: two tools, and a list of what reached it.
const reached = [];
const shop = () => {
  const server = new McpServer({ name: 'shop', version: '1.0.0' });
  const text = (said) => ({ content: [{ type: 'text', text: said }] });
  server.registerTool('read_stock', { description: 'How much there is', inputSchema: z.object({ item: z.string() }) }, async ({ item }) => text(`7 ${item}`));
  server.registerTool('refund', { description: 'Money back', inputSchema: z.object({ order: z.string() }) }, async ({ order }) => text(`refunded ${order}`));
  return server;
};
const behind = toNodeHandler(createMcpHandler(shop));
const [inside, outside] = [await freePort(), await freePort()];
const upstream = createServer((request, response) => {
  reached.push(request.headers);
  behind(request, response);
}).listen(inside, '127.0.0.1');
const RESOURCE = `http://localhost:${outside}/mcp`;

const hash = createHash('sha256').update(SECRET).digest('base64url');
const asks = '["identity", "tool", "mcp_server", "resource", "prompt", "task"]';
const house = await serve({
  organisation: 'Harbour Books',
  clients: [
    { id: 'gate', name: 'The gate', redirect: 'http://127.0.0.1/none', scopes: [], more: `auth = "client_secret_basic"\nsecret_hash = "${hash}"\nasks_about = ${asks}\nintrospects = ["${RESOURCE}"]` },
    { id: 'desk', name: 'A desk program', redirect: 'http://127.0.0.1/cb', scopes: ['profile'], more: `audience = "${RESOURCE}"\ndanger_allow_bearer = true` },
  ],
});
const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: join(HERE, 'phone') };
const phone = async (...words) => (await run(DEVICE, words, { env, timeout: 60_000 })).stdout.trim();
let gate;
try {
  await phone('enrol', house.link, '--name', 'Phone');
  await phone('posture', 'send');
  const device = JSON.parse(await phone('list', '--json')).devices[0].id;
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const register = (id, more) => {
    const until = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
    const file = join(HERE, `${id}.json`);
    const keys = [key.publicKey.export({ format: 'jwk' })];
    writeFileSync(file, JSON.stringify({ id, name: 'Stock agent', owner: 'admin', until, environment: 'test', keys, audiences: [RESOURCE], scopes: ['read'], ...more }));
    house.command(['workload', 'add', '--file', file]);
  };
  register('stock-agent', { agent: { device, tools: ['read_stock', 'refund'], ask: ['refund'] } });
  const secret = join(HERE, 'secret');
  writeFileSync(secret, `${SECRET}\n`);
  const settings = join(HERE, 'gate.toml');
  writeFileSync(settings, `listen = "127.0.0.1:${outside}"\nresource = "${RESOURCE}"\nissuer = "${house.issuer}"\nclient_id = "gate"
secret_file = "${secret}"\nupstream = "http://127.0.0.1:${inside}/mcp"\nscopes = ["read"]\nask = ["refund"]\nwait_s = 20\n`);
  gate = spawn(program('countersign'), ['mcp-gate', settings], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    gate.stdout.once('data', resolve);
    gate.once('exit', () => reject(new Error('the gate did not start')));
  });

  const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const provider = () => new PrivateKeyJwtProvider({ clientId: 'stock-agent', privateKey: pem, algorithm: 'ES256', scope: 'read', expectedIssuer: house.issuer });
  const connected = async (authProvider, fetch, versionNegotiation) => {
    const client = new Client({ name: 'agent', version: '1.0.0' }, { versionNegotiation });
    const transport = new StreamableHTTPClientTransport(new URL(RESOURCE), { authProvider, fetch });
    return { client, transport, connect: () => client.connect(transport) };
  };
  /** What the owner does as soon as something waits */
  const decides = async (verb) => {
    for (let n = 0; n < 150; n += 1) {
      const id = JSON.parse(await phone('pending', '--json')).pending?.[0]?.cid;
      if (id) {
        const said = await phone('take', id);
        await phone(verb, id);
        return said;
      }
      await sleep(100);
    }
    throw new Error('nothing waits');
  };
  const words = (result) => result.content?.[0]?.text;

  for (const [era, versions] of [['2025', { mode: 'legacy' }], ['2026-07-28', { mode: { pin: '2026-07-28' } }]]) {
    const keyed = bound(`${house.issuer}/token`, RESOURCE);
    const { client, connect } = await connected(provider(), keyed, versions);
    await connect();
    const { tools } = await client.listTools();
    check(`${era}: the SDK finds its way to a token and lists the tools`, tools.map((t) => t.name).join() === 'read_stock,refund', tools);
    const stock = await code(client.callTool({ name: 'read_stock', arguments: { item: 'pens' } }));
    check(`${era}: a call goes through`, words(stock) === '7 pens', stock);
    const order = { name: 'refund', arguments: { order: `A-${era}` } };
    const [yes, read] = await Promise.all([code(client.callTool(order)), decides('approve')]);
    check(`${era}: a sensitive one waits for the phone`, words(yes) === `refunded A-${era}`, yes);
    check(`${era}: the phone shows what it is about`, ['Stock agent', 'refund', RESOURCE, `A-${era}`].every((w) => read.includes(w)), read);
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
  const keyed = bound(`${house.issuer}/token`, RESOURCE);
  const own = provider();
  const { client, connect } = await connected(own, keyed);
  await connect();
  await client.close();
  const { access_token } = await own.tokens();
  const held = { token: async () => access_token };
  for (const [what, fetch] of [['without its key', globalThis.fetch], ['with another key', bound(RESOURCE)]]) {
    const thief = await connected(held, fetch);
    const heard = await code(thief.connect());
    check(`a token that was passed on opens nothing ${what}`, heard?.thrown !== undefined, heard);
  }

  // A person's own program: the SDK's whole way by browser, a bearer token, and a question for a sensitive tool all the same.
  const kept = {};
  const person = {
    redirectUrl: 'http://127.0.0.1/cb',
    clientMetadata: { client_name: 'A desk program', redirect_uris: ['http://127.0.0.1/cb'], scope: 'openid profile' },
    clientInformation: () => ({ client_id: 'desk', issuer: house.issuer }),
    saveClientInformation: () => {},
    tokens: () => kept.tokens,
    saveTokens: (tokens) => (kept.tokens = tokens),
    redirectToAuthorization: (url) => (kept.url = url),
    saveCodeVerifier: (verifier) => (kept.verifier = verifier),
    codeVerifier: () => kept.verifier,
    saveDiscoveryState: (state) => (kept.state = state),
    discoveryState: () => kept.state,
  };
  const first = await connected(person, globalThis.fetch);
  const sent = await code(first.connect());
  check('a person is sent to sign in', kept.url?.origin === new URL(house.issuer).origin && kept.url.searchParams.get('resource') === RESOURCE, [sent, kept.url]);
  const back = new URL((await phone('play', 'authorize', String(kept.url))).split('\n').at(-1));
  await first.transport.finishAuth(back.searchParams);
  const second = await connected(person, globalThis.fetch);
  await second.connect();
  const [mine] = await Promise.all([code(second.client.callTool({ name: 'refund', arguments: { order: 'B-1' } })), decides('approve')]);
  check('a person is asked for a sensitive tool, too', words(mine) === 'refunded B-1', mine);
  await second.client.close();

  const told = reached.map((headers) => JSON.stringify(headers));
  check('nobody\'s token reached the server', told.length > 5 && told.every((t) => !/authorization|dpop|cookie|eyJ/i.test(t)), told.find((t) => /eyJ/.test(t)));
  const log = house.command(['log', 'tail', '-n', '500', '--json']).split('\n').filter((l) => l.includes('"tool.called"'));
  check('each call is in the log', log.length === 5, log.length);
} catch (e) {
  failed += 1;
  console.error(e, house.log());
} finally {
  gate?.kill('SIGTERM');
  upstream.closeAllConnections();
  upstream.close();
  await house.stop();
  rmSync(HERE, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
