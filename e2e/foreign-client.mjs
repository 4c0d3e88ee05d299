// A client library that knows nothing of Countersign (`oidc/`) signs in at the real server, with the software phone playing
// the person. Starts what that script needs: server, and a phone that is enrolled.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program, serve } from './browser/stage/server.js';

const PLAY = program('countersign-device');
const STATE = mkdtempSync(join(tmpdir(), 'countersign-phone-'));
const API_SECRET = 'a secret only for tests';
const hash = createHash('sha256').update(API_SECRET).digest('base64url');
const client = { id: 'e2e', name: 'Foreign client', redirect: 'http://127.0.0.1/cb', scopes: ['profile'] };
const more = 'post_logout_redirect_uris = ["http://127.0.0.1/bye"]\nrefresh = "always"\naudience = "https://api.example"';
const api = `auth = "client_secret_basic"\nsecret_hash = "${hash}"\nintrospects = ["https://api.example"]`;
const server = await serve({
  organisation: 'Harbour Books',
  clients: [
    { ...client, more },
    { id: 'api', name: 'An interface', redirect: 'http://127.0.0.1/none', scopes: [], more: api },
  ],
});
try {
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE };
  execFileSync(PLAY, ['enrol', server.link, '--name', 'Software phone'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const script = fileURLToPath(new URL('oidc/signin.mjs', import.meta.url));
  const running = spawn(process.execPath, [script], { env: { ...env, ISSUER: server.issuer, PLAY, STATE, API_SECRET }, stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((resolve) => running.on('exit', resolve));
  if (status !== 0) console.error(server.log());
  process.exitCode = status ?? 1;
} finally {
  await server.stop();
  rmSync(STATE, { recursive: true, force: true });
}
