// A broker in front (`broker/walk.py`), with the server, and a phone that is enrolled. PYTHON names a Python that has SATOSA.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, program, serve } from './browser/stage/server.js';

const PLAY = program('countersign-device');
const STATE = mkdtempSync(join(tmpdir(), 'countersign-phone-'));
const SECRET = 'a secret only for tests';
const hash = createHash('sha256').update(SECRET).digest('base64url');
const basic = `auth = "client_secret_basic"\nsecret_hash = "${hash}"`;
const ports = [await freePort(), await freePort()];
const callbacks = ports.map((port) => `https://broker-${port}.example/back/callback`);
const server = await serve({
  organisation: 'Harbour Books',
  clients: [
    // SATOSA's backend speaks neither PKCE nor DPoP.
    { id: 'broker', name: 'The broker', redirect: callbacks.join('", "'), scopes: ['profile'], more: `${basic}\ndanger_allow_no_pkce = true\ndanger_allow_bearer = true` },
    { id: 'desk', name: 'An application', redirect: 'http://127.0.0.1/none', scopes: [], more: `${basic}\nasks_about = ["session", "client"]` },
  ],
});
try {
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE };
  execFileSync(PLAY, ['enrol', server.link, '--name', 'Software phone'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const told = { ...env, ISSUER: server.issuer, SECRET, PLAY, STATE, PORTS: ports.join(' ') };
  const walk = fileURLToPath(new URL('broker/walk.py', import.meta.url));
  const running = spawn(process.env.PYTHON, [walk], { env: told, stdio: ['ignore', 'inherit', 'inherit'] });
  const failed = (await new Promise((resolve) => running.on('exit', resolve))) ?? 1;
  if (failed) console.error(server.log());
  process.exitCode = failed ? 1 : 0;
} finally {
  await server.stop();
  rmSync(STATE, { recursive: true, force: true });
}
