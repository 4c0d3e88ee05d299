// Client libraries that know nothing of Countersign sign in at the real server, with the software phone playing the person:
// openid-client (`oidc/`), Authlib (`authlib/`) where PYTHON names a Python that has it, and the crate `openidconnect` where RUST names
// the program of `openidconnect/`; and where APPROVALS names `countersign-approvals`, what a conformance suite needs. Starts what those need: server, and a phone that is enrolled.
import { execFileSync, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, program, serve } from './browser/stage/server.js';

const PLAY = program('countersign-device');
const STATE = mkdtempSync(join(tmpdir(), 'countersign-phone-'));
const API_SECRET = 'a secret only for tests';
const hash = createHash('sha256').update(API_SECRET).digest('base64url');
const client = { id: 'e2e', name: 'Foreign client', redirect: 'http://127.0.0.1/cb', scopes: ['profile'] };
const EARS = [String(await freePort()), String(await freePort()), String(await freePort())];
const more = (ear) => `post_logout_redirect_uris = ["http://127.0.0.1/bye"]
backchannel_logout_uri = "http://127.0.0.1:${ear}/ended"
detail_types = ["payment"]
refresh = "always"
audience = "https://api.example"`;
const basic = `auth = "client_secret_basic"\nsecret_hash = "${hash}"`;
const api = `${basic}\nintrospects = ["https://api.example"]`;
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const CLIENT_KEY = JSON.stringify(privateKey.export({ format: 'jwk' }));
const { x, y } = publicKey.export({ format: 'jwk' });
const keyed = `auth = "private_key_jwt"
keys = [{ kty = "EC", crv = "P-256", x = "${x}", y = "${y}" }]`;
const strict = `${keyed}
profile = "fapi2"
require_signed_request_object = true
refresh = "always"`;
const hotline = `${keyed}
profile = "fapi2"
require_signed_request_object = true
detail_types = ["payment"]
ciba = { binding_digits = true, tells_address = true, notification_endpoint = "http://127.0.0.1:${EARS[2]}/told" }`;
const loose = 'danger_allow_unbound_collector = true\ndanger_allow_bearer = true';
const server = await serve({
  organisation: 'Harbour Books',
  clients: [
    { ...client, more: more(EARS[0]) },
    { ...client, id: 'strict', more: strict },
    { ...client, id: 'authlib', name: 'Another foreign client', more: `${keyed}\ndanger_allow_bearer = true\n${more(EARS[1])}` },
    { ...client, id: 'rust', name: 'A foreign program', more: `${basic}\ndanger_allow_bearer = true` },
    { ...client, id: 'tv', name: 'A television', more: 'device_grant = true\ndetail_types = ["payment"]\nrefresh = "always"' },
    { ...client, id: 'loose-tv', name: 'An old television', more: `device_grant = true\n${loose}` },
    { ...client, id: 'cabinet', name: 'A cabinet', more: `${basic}\ndevice_grant = true\n${loose}` },
    { ...client, id: 'counter', name: 'A counter', more: `${basic}\ndetail_types = ["payment"]\nrefresh = "always"\nciba = { binding_digits = true, tells_address = true }` },
    { ...client, id: 'hotline', name: 'A hotline', more: hotline },
    { ...client, id: 'old-counter', name: 'An old counter', more: `${basic}\nfar = "unproven"\n${loose}\nciba = { binding_digits = true }` },
    { ...client, id: 'suite', name: 'A conformance suite', more: `${basic}\nfar = "unproven"\n${loose}\nciba = {}` },
    { id: 'api', name: 'An interface', redirect: 'http://127.0.0.1/none', scopes: [], more: api },
  ],
});
try {
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE };
  execFileSync(PLAY, ['enrol', server.link, '--name', 'Software phone'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  const robot = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const WORKLOAD_KEY = JSON.stringify(robot.privateKey.export({ format: 'jwk' }));
  const registration = join(STATE, 'robot.json');
  const until = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);
  const keys = [robot.publicKey.export({ format: 'jwk' })];
  const facts = { environment: 'test', keys, audiences: ['https://stock.example'], scopes: ['read'] };
  writeFileSync(registration, JSON.stringify({ id: 'e2e-robot', name: 'Robot', owner: 'admin', until, ...facts }));
  server.command(['workload', 'add', '--file', registration]);
  const told = { ...env, ISSUER: server.issuer, PLAY, STATE, API_SECRET, CLIENT_KEY, WORKLOAD_KEY };
  const scripts = ['signin', 'pushed', 'session', 'workload', 'device'].map((name) => [process.execPath, here(`oidc/${name}.mjs`), EARS[0]]);
  scripts.push([process.execPath, here('oidc/called.mjs'), EARS[2]]);
  if (process.env.APPROVALS) scripts.push([process.execPath, here('oidc/approvals.mjs'), EARS[0]]);
  if (process.env.PYTHON) scripts.push([process.env.PYTHON, here('authlib/walk.py'), EARS[1]]);
  if (process.env.RUST) scripts.push([process.env.RUST, '', '']);
  let failed = 0;
  for (const [program, script, HEARS] of scripts) {
    const kept = { HEARS, BROWSER: join(STATE, `browser-${HEARS}`) };
    const running = spawn(program, [script].filter(Boolean), { env: { ...told, ...kept }, stdio: ['ignore', 'inherit', 'inherit'] });
    failed += (await new Promise((resolve) => running.on('exit', resolve))) ?? 1;
  }
  if (failed) console.error(server.log());
  process.exitCode = failed ? 1 : 0;
} finally {
  await server.stop();
  rmSync(STATE, { recursive: true, force: true });
}
