// What the walks share: a server with the software phone, an MCP server of two tools with `countersign mcp-gate` before it, clients by the
// MCP TypeScript SDK, and the count of what held.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as z from 'zod';
import { freePort, program, serve } from '../browser/stage/server.js';
import { check, count, fell } from '../count.mjs';

const SECRET = 'a secret only for tests';
const ASKS = '["identity", "tool", "mcp_server", "resource", "prompt", "task"]';
const run = promisify(execFile);

export const hashed = (text) => createHash('sha256').update(text).digest('base64url');

export { check };

/** What came of it, or how it was refused */
export const code = (promise) => promise.then((r) => r, (e) => ({ thrown: e.code ?? e.name, said: e.message, data: e.data }));
/** The first words that a tool said */
export const words = (result) => result.content?.[0]?.text;

const shop = () => {
  const server = new McpServer({ name: 'shop', version: '1.0.0' });
  const text = (said) => ({ content: [{ type: 'text', text: said }] });
  const region = z.string().optional().meta({ 'x-mcp-header': 'Region' });
  server.registerTool('read_stock', { description: 'How much there is', inputSchema: z.object({ item: z.string(), region }) }, async ({ item }) => text(`7 ${item}`));
  server.registerTool('refund', { description: 'Money back', inputSchema: z.object({ order: z.string() }) }, async ({ order }) => text(`refunded ${order}`));
  return server;
};

/** All of it. `clients` and `more` are for the server's configuration; both may be made of the gate's address */
export async function open({ clients = () => [], more = () => '' }) {
  const here = mkdtempSync(join(tmpdir(), 'countersign-mcp-'));
  const file = (name, text) => {
    writeFileSync(join(here, name), text);
    return join(here, name);
  };
  const [inside, outside] = [await freePort(), await freePort()];
  const resource = `http://localhost:${outside}/mcp`;
  const reached = [];
  const behind = toNodeHandler(createMcpHandler(shop));
  const upstream = createServer((request, response) => {
    reached.push(request.headers);
    behind(request, response);
  }).listen(inside, '127.0.0.1');
  const gate = { id: 'gate', name: 'The gate', redirect: 'http://127.0.0.1/none', scopes: [] };
  const house = await serve({
    organisation: 'Harbour Books',
    clients: [{ ...gate, more: `auth = "client_secret_basic"\nsecret_hash = "${hashed(SECRET)}"\nasks_about = ${ASKS}\nintrospects = ["${resource}"]` }, ...clients(resource)],
    more: more(resource),
  });
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: join(here, 'phone') };
  const phone = async (...said) => (await run(program('countersign-device'), said, { env, timeout: 180_000 })).stdout.trim();
  const settings = file('gate.toml', `listen = "127.0.0.1:${outside}"\nresource = "${resource}"\nissuer = "${house.issuer}"\nclient_id = "gate"
secret_file = "${file('secret', `${SECRET}\n`)}"\nupstream = "http://127.0.0.1:${inside}/mcp"\nscopes = ["read"]\nask = ["refund"]\nwait_s = 40\n`);
  const keeper = spawn(program('countersign'), ['mcp-gate', settings], { stdio: ['ignore', 'pipe', 'inherit'] });
  const close = async () => {
    keeper.kill('SIGTERM');
    upstream.closeAllConnections();
    upstream.close();
    await house.stop();
    rmSync(here, { recursive: true, force: true });
  };
  try {
    await new Promise((resolve, reject) => {
      keeper.stdout.once('data', resolve);
      keeper.once('exit', () => reject(new Error('the gate did not start')));
    });
    await phone('enrol', house.link, '--name', 'Phone');
    await phone('posture', 'send');
  } catch (e) {
    await close();
    throw e;
  }
  /** What the owner does as soon as something waits */
  const decides = async (verb) => {
    for (let n = 0; n < 600; n += 1) {
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
  /** A client by the SDK, before it connects */
  const client = (authProvider, fetch, versionNegotiation) => {
    const one = new Client({ name: 'agent', version: '1.0.0' }, { versionNegotiation });
    const transport = new StreamableHTTPClientTransport(new URL(resource), { authProvider, fetch });
    return { client: one, transport, connect: () => one.connect(transport) };
  };
  /** The end of an authorization request, as a person with a phone brings it about: what the browser is sent back with */
  const play = async (url) => new URL((await phone('play', 'authorize', String(url))).split('\n').at(-1));
  /** The SDK's sign-in by `provider`, which keeps what it is given in `kept`, to its end; what came of it */
  const signsIn = async (provider, kept, fetch) => {
    const { transport, connect } = client(provider, fetch);
    const sent = await code(connect());
    return kept.url ? code(transport.finishAuth((await play(kept.url)).searchParams)) : sent;
  };
  return { house, resource, upstream: `http://127.0.0.1:${inside}/mcp`, reached, phone, decides, client, play, signsIn, file, close };
}

/** Plays in it, whatever becomes of it */
export async function within(settings, play) {
  const all = await open(settings);
  try {
    await play(all);
  } catch (e) {
    fell(e, all.house.log());
  } finally {
    await all.close();
  }
}

export function finish() {
  count();
  process.exit();
}
