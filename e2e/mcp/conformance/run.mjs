// The MCP conformance runner (pinned in package.json): its authorization mode against the server, with the software phone as the person in
// the browser; and those of its server scenarios that are about what a gate reads, through the gate and beside it. Starts what it needs.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../browser/stage/server.js';
import { check, finish, within } from '../kit.mjs';
import { person } from '../person.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const RUNNER = ['--import', here('./hooks.mjs'), here('./node_modules/@modelcontextprotocol/conformance/dist/index.js')];

/** What the runner found: the status of each check by its name, and why. `line` hears what it says meanwhile */
async function runs(words, line = () => {}) {
  const results = mkdtempSync(join(tmpdir(), 'countersign-conformance-'));
  try {
    const child = execFile(process.execPath, [...RUNNER, ...words, '-o', results], { timeout: 300_000 }, () => {});
    child.stdout.on('data', (text) => text.split('\n').forEach(line));
    await new Promise((resolve) => child.on('close', resolve));
    const all = readdirSync(results).flatMap((one) => JSON.parse(readFileSync(join(results, one, 'checks.json'), 'utf8')));
    return all.map(({ name, status, errorMessage }) => [name, status, errorMessage]);
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
}

const REDIRECT = 'http://127.0.0.1/callback';
const registered = (id, more) => (resource) => ({ id, name: id, redirect: REDIRECT, scopes: [], more: `audience = "${resource}"\n${more}` });
const clients = [registered('bearer', 'danger_allow_bearer = true'), registered('keyed', '')];
const rules = '[newcomers]\nhosts = ["localhost"]\n';

/** What the server behind the gate answers otherwise than through it, and what becomes of it there */
const DIFFERS = {
  // COAZ-MCP: whatever nobody knows is denied (-32001), and what has no name of what it is about cannot be asked about (-32602).
  HttpServerMethodNotFound404: 'FAILURE',
  HttpServerMethodNotFound404resourcessubscribe: 'FAILURE',
  HttpServerMethodNotFound404resourcesunsubscribe: 'FAILURE',
  // No page of a browser has anything to do at a gate, wherever it is from.
  DNSRebindingRejected: 'SUCCESS',
  LocalhostHostAccepted: 'FAILURE',
};
/** What of these scenarios needs things that the server behind the gate has not (a tool, a prompt, a resource): a runner that asks for more, or finds nothing any more, is looked at */
const UNTESTED = 11;
const SCENARIOS = ['server-stateless', 'server-initialize', 'ping', 'tools-list', 'http-header-validation', 'http-custom-header-server-validation', 'caching', 'dns-rebinding-protection'];

/** A door to the gate for a program that shows no token: adds one */
async function porter(resource, token) {
  const server = createServer((request, response) => {
    const headers = { ...request.headers, host: new URL(resource).host, authorization: `Bearer ${token}` };
    const on = httpRequest(resource, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(on);
  });
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${port}/mcp`, close: () => server.close() };
}

await within({ clients: (resource) => clients.map((one) => one(resource)), more: () => rules }, async ({ house, resource, upstream, play, signsIn }) => {
  for (const [client, grant] of [['bearer', 'SUCCESS'], ['keyed', 'FAILURE']]) {
    const port = await freePort();
    const words = ['authorization', '--url', house.issuer, '--client-id', client, '--resource', resource, '--port', String(port)];
    const found = await runs(words, async (said) => {
      if (said.startsWith(`${house.issuer}/authorize`)) await fetch(await play(said));
    });
    const status = (name) => found.find(([one]) => one === name)?.[1];
    check(`${client}: the server's metadata`, status('AuthorizationServerMetadata') === 'SUCCESS' && status('AuthorizationServerMetadataCIMD') === 'SUCCESS', found);
    // The runner shows no key: only who may do without gets tokens.
    check(`${client}: the code grant`, status('AuthorizationCodeGrant') === grant, found);
  }

  const beside = [];
  for (const scenario of SCENARIOS) beside.push(await runs(['server', '--url', upstream, '--scenario', scenario]));
  const kept = { client: { client_id: 'bearer', issuer: house.issuer } };
  const tried = new Set();
  let untested = 0;
  for (const [n, scenario] of SCENARIOS.entries()) {
    // A bearer token lives a minute: each has its own.
    kept.tokens = undefined;
    await signsIn(person(kept, { redirectUrl: REDIRECT }), kept, fetch);
    const door = await porter(resource, kept.tokens.access_token);
    const through = await runs(['server', '--url', door.url, '--scenario', scenario]);
    door.close();
    check(`${scenario}: as many answers through the gate as beside it`, through.length === beside[n].length && through.length > 0, [through.length, beside[n].length]);
    for (const [k, [name, status, why]] of through.entries()) {
      const [same, without] = beside[n][k] ?? [];
      tried.add(name);
      // What the shop itself cannot show (it has no such tool, prompt or resource) says nothing about the gate.
      if (name === same && without !== 'SUCCESS' && !(name in DIFFERS)) untested += 1;
      else check(`${scenario}: ${name}`, name === same && status === (DIFFERS[name] ?? 'SUCCESS'), [status, why, same, without]);
    }
  }
  check('every difference is one that was seen', Object.keys(DIFFERS).every((name) => tried.has(name)), DIFFERS);
  check('what the server behind the gate has nothing for is as much as it was', untested === UNTESTED, untested);
  console.log(`${untested} checks that the server behind the gate has nothing for`);
});
finish();
