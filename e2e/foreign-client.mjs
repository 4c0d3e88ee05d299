// A client library that knows nothing of Countersign (`oidc/`) signs in at the real server, with the software phone playing
// the person. Starts what that script needs: server, and a phone that is enrolled.
import { execFileSync, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, program, serve } from './browser/stage/server.js';

const PLAY = program('countersign-device');
const STATE = mkdtempSync(join(tmpdir(), 'countersign-phone-'));
const API_SECRET = 'a secret only for tests';
const hash = createHash('sha256').update(API_SECRET).digest('base64url');
const client = { id: 'e2e', name: 'Foreign client', redirect: 'http://127.0.0.1/cb', scopes: ['profile'] };
const HEARS = String(await freePort());
const more = `post_logout_redirect_uris = ["http://127.0.0.1/bye"]
backchannel_logout_uri = "http://127.0.0.1:${HEARS}/ended"
detail_types = ["payment"]
refresh = "always"
audience = "https://api.example"`;
const api = `auth = "client_secret_basic"\nsecret_hash = "${hash}"\nintrospects = ["https://api.example"]`;
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const CLIENT_KEY = JSON.stringify(privateKey.export({ format: 'jwk' }));
const { x, y } = publicKey.export({ format: 'jwk' });
const strict = `auth = "private_key_jwt"
keys = [{ kty = "EC", crv = "P-256", x = "${x}", y = "${y}" }]
profile = "fapi2"
require_signed_request_object = true
refresh = "always"`;
const server = await serve({
  organisation: 'Harbour Books',
  clients: [
    { ...client, more },
    { ...client, id: 'strict', more: strict },
    { id: 'api', name: 'An interface', redirect: 'http://127.0.0.1/none', scopes: [], more: api },
  ],
});
try {
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE };
  execFileSync(PLAY, ['enrol', server.link, '--name', 'Software phone'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  let failed = 0;
  for (const name of ['signin', 'pushed', 'session']) {
    const script = fileURLToPath(new URL(`oidc/${name}.mjs`, import.meta.url));
    const told = { ...env, ISSUER: server.issuer, PLAY, STATE, API_SECRET, CLIENT_KEY, HEARS, BROWSER: join(STATE, 'browser') };
    const running = spawn(process.execPath, [script], { env: told, stdio: ['ignore', 'inherit', 'inherit'] });
    failed += (await new Promise((resolve) => running.on('exit', resolve))) ?? 1;
  }
  if (failed) console.error(server.log());
  process.exitCode = failed ? 1 : 0;
} finally {
  await server.stop();
  rmSync(STATE, { recursive: true, force: true });
}
