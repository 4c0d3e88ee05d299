// Does what the modules of the conformance plans do, against the real server with the configuration that `deploy/conformance/make.mjs`
// makes for them. It is no run of the suite: docs/conformance.md says how to do that, and what differs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALIAS, make } from '../../../deploy/conformance/make.mjs';
import { House } from '../../browser/stage/house.js';
import { freePort, program, serve } from '../../browser/stage/server.js';
import { check, finish } from '../kit.mjs';
import { basic } from './basic.mjs';
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

const server = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const redirect = `${suite}/test/a/${ALIAS}/callback`;
const folder = (name) => join(state, name);
const parts = [
  () => basic(server, clients, redirect, folder),
  () => logout(server, clients, redirect, folder, { port, ...certificate }),
  () => fapi(server, clients, redirect, folder),
  async () => check('each plan names this server', Object.values(plans).every((plan) => plan.server.discoveryUrl.startsWith(issuer))),
];
await finish(...parts, () => running.stop(), () => authority.close());
