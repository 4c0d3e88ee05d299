// oidc-agent, as Debian ships it, gets tokens by the device grant: for a shell on a machine without a browser. The software phone plays
// the person who types the code. It has no DPoP, so its client is registered with all that this takes.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { program, serve } from './browser/stage/server.js';
import { check, count, held } from './count.mjs';

const PLAY = program('countersign-device');
const CODE = /\b[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}\b/;
const SECRET = 'a secret only for tests';
const WAIT_MS = 120_000;
const home = mkdtempSync(join(tmpdir(), 'countersign-agent-'));
const env = { ...process.env, HOME: home, OIDC_CONFIG_DIR: join(home, 'oidc'), OIDC_ENCRYPTION_PW: 'only for tests', COUNTERSIGN_DEVICE_STATE: home };
const run = async (name, ...words) => (await promisify(execFile)(name, words, { env, timeout: WAIT_MS })).stdout.trim();

const more = `auth = "client_secret_basic"
secret_hash = "${createHash('sha256').update(SECRET).digest('base64url')}"
device_grant = true
refresh = "offline_access"
danger_allow_unbound_collector = true
danger_allow_bearer = true`;
const server = await serve({ organisation: 'Harbour Books', clients: [{ id: 'shell', name: 'A shell', redirect: 'http://localhost:4242', scopes: ['profile'], more }] });

/** Sets an account up; the code that it shows is typed on the phone. */
async function account() {
  const words = ['--flow=device', '--manual', `--issuer=${server.issuer}`, '--client-id=shell', `--client-secret=${SECRET}`, '--scope=openid profile offline_access', '--pw-env', '--prompt=none', '--no-url-call', 'shell'];
  // Its encryption of stored accounts is its own; nobody answers its questions.
  const set = spawn('oidc-gen', words, { env, stdio: ['pipe', 'pipe', 'pipe'], timeout: WAIT_MS });
  set.stdin.end('\n\n\n');
  let said = '';
  let typing;
  const hear = (some) => {
    said += some;
    const [code] = said.match(CODE) ?? [];
    if (code) typing ??= run(PLAY, 'play', 'code', code);
  };
  set.stdout.on('data', hear);
  set.stderr.on('data', hear);
  const status = await new Promise((resolve) => set.on('exit', resolve));
  await typing;
  return [status, said];
}

let agent;
try {
  mkdirSync(env.OIDC_CONFIG_DIR);
  execFileSync(PLAY, ['enrol', server.link, '--name', 'Software phone'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const started = JSON.parse(await run('oidc-agent', '--json', '--no-autoreauthenticate'));
  agent = Number(started.dpid);
  env.OIDC_SOCK = started.socket;
  const [status, said] = await account();
  check('an account by the device grant', status === 0, said.slice(-600));
  const token = await run('oidc-token', 'shell');
  const info = await fetch(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } });
  const person = await info.json();
  check('its token is the person\'s', info.status === 200 && person.name === 'Administrator', person);
  const renewed = await run('oidc-token', '--force-new', 'shell');
  check('it is renewed', renewed !== token && renewed.split('.').length === 3);
  server.command(['client', 'disable', 'shell']);
  const gone = await run('oidc-token', '--force-new', 'shell').catch((e) => e);
  check('and not once its client is switched off', gone instanceof Error, gone);
} finally {
  if (agent) process.kill(agent);
  if (!held()) console.error(server.log());
  await server.stop();
  rmSync(home, { recursive: true, force: true });
}
count();
