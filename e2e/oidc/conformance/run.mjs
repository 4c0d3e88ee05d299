// Does what the modules of the conformance plans do, against the real server with the configuration that `deploy/conformance/make.mjs`
// makes for them. It is no run of the suite: docs/conformance.md says how to do that, and what differs.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALIAS, make } from '../../../deploy/conformance/make.mjs';
import { House } from '../../browser/stage/house.js';
import { freePort, program, serve } from '../../browser/stage/server.js';
import { check, finish } from '../kit.mjs';
import { basic } from './basic.mjs';
import { ciba } from './ciba.mjs';
import { fapi } from './fapi.mjs';
import { logout } from './logout.mjs';

const port = await freePort();
const home = await freePort();
const suite = `https://localhost:${port}`;
// The suite's certificate is of an authority that nobody knows: the server is told of it as any program is.
const authority = await House.build({ name: 'localhost' });
const certificate = { cert: readFileSync(authority.path('fullchain.pem')), key: readFileSync(authority.path('key.pem')) };
process.env.SSL_CERT_FILE = authority.path('ca.pem');
const issuer = `http://localhost:${home}`;
const { toml, clients, plans } = make({ issuer, suite });
const house = { issuer, fetch, settings: `issuer = "${issuer}"\nlisten = "127.0.0.1:${home}"\n` };
const running = await serve({ organisation: 'Conformance', clients: [], house, more: toml });
const state = mkdtempSync(join(tmpdir(), 'countersign-phone-'));
process.on('exit', () => rmSync(state, { recursive: true, force: true }));
Object.assign(process.env, { ISSUER: issuer, STATE: state, PLAY: program('countersign-device') });
const enrol = ['enrol', running.link, '--name', 'Software phone'];
execFileSync(process.env.PLAY, enrol, { env: { ...process.env, COUNTERSIGN_DEVICE_STATE: state }, stdio: 'ignore' });

/** People whom nobody but `countersign-approvals` plays (APPROVALS): each with a software phone of their own. */
async function person(login) {
  const home = join(state, login);
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: home };
  const { link } = JSON.parse(running.command(['--json', 'invite', login, login]));
  execFileSync(process.env.PLAY, ['enrol', link, '--name', 'Software phone'], { env, stdio: 'ignore' });
  const program = spawn(process.env.APPROVALS, ['--port', '0'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('exit', () => program.kill());
  const address = String(await new Promise((resolve) => program.stdout.once('data', resolve))).trim();
  const answers = async (id, action) => {
    const answer = await fetch(address.replace('{auth_req_id}', id).replace('{action}', action));
    if (answer.status !== 200) throw new Error(await answer.text());
  };
  return { login, answers };
}

const server = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const redirect = `${suite}/test/a/${ALIAS}/callback`;
const folder = (name) => join(state, name);
const parts = [
  () => basic(server, clients, redirect, folder),
  () => logout(server, clients, redirect, folder, { port, ...certificate }),
  () => fapi(server, clients, redirect, folder),
  async () => {
    if (!process.env.APPROVALS) return console.log('CIBA was left out: APPROVALS names no `countersign-approvals`');
    const people = [];
    for (const login of ['ana', 'bo', 'cleo', 'dan', 'eva', 'fay']) people.push(await person(login));
    await ciba(server, clients, redirect, people, { port, ...certificate });
  },
  async () => check('each plan names this server', Object.values(plans).every((plan) => plan.server.discoveryUrl.startsWith(issuer))),
];
await finish(...parts, () => running.stop(), () => authority.close());
