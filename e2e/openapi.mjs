// Schemathesis asks every door of the OpenAPI document, with what the document allows and with what it does not, and holds each answer
// against it. Starts what it needs: the real server, and a phone that is enrolled, whose key the hooks of `openapi/` prove.
// PYTHON names a Python that has `openapi/requirements.txt`.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, program, serve } from './browser/stage/server.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const API_SECRET = 'a-secret-only-for-tests';
const STATE = mkdtempSync(join(tmpdir(), 'countersign-openapi-'));
const CHECKS = [
  'not_a_server_error', 'status_code_conformance', 'content_type_conformance', 'response_headers_conformance',
  'response_schema_conformance', 'negative_data_rejection', 'unsupported_method', 'allow_header_conformance', 'ignored_auth',
  'use_after_free',
];
const port = await freePort();
const issuer = `http://localhost:${port}`;
const hash = createHash('sha256').update(API_SECRET).digest('base64url');
// The receiver of events shows the same secret.
const receiver = `[[signals.receivers]]\nid = "siem"\naudience = "https://siem.example"\ndanger_token_hash = "${hash}"`;
const server = await serve({
  house: { issuer, fetch, settings: `issuer = "${issuer}"\nlisten = "127.0.0.1:${port}"\ntrusted_proxies = ["127.0.0.1/32"]\n` },
  organisation: 'Harbour Books',
  clients: [
    { id: 'till', name: 'Till', redirect: 'http://127.0.0.1/cb', scopes: ['profile'], more: 'detail_types = ["payment"]\nrefresh = "always"' },
    { id: 'api', name: 'An interface', redirect: 'http://127.0.0.1/none', scopes: [], more: `auth = "client_secret_basic"\nsecret_hash = "${hash}"\nasks_about = ["user", "record", "session", "device", "client"]\n${receiver}` },
  ],
});
try {
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE };
  execFileSync(program('countersign-device'), ['enrol', server.link, '--name', 'Software phone'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  // The document of the server itself, so that what is judged is what is served.
  const words = [
    '-m', 'schemathesis.cli', 'run', `${issuer}/openapi.json`, '--url', issuer, '--checks', CHECKS.join(','), '--seed', '20261121',
    '--max-examples', process.env.EXAMPLES ?? '40', '--phases', 'examples,coverage,fuzzing', '--continue-on-failure', '--request-timeout', '60', '--no-color', '--warnings', 'off',
    '--generation-database', 'none', ...process.argv.slice(2),
  ];
  const told = { ...env, ISSUER: issuer, STATE, API_SECRET, PYTHONPATH: here('openapi'), SCHEMATHESIS_HOOKS: 'hooks' };
  const running = spawn(process.env.PYTHON ?? 'python3', words, { cwd: STATE, env: told, stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((resolve) => running.on('exit', resolve));
  if (status) console.error(server.log().slice(-4_000));
  process.exitCode = status ?? 1;
} finally {
  await server.stop();
  rmSync(STATE, { recursive: true, force: true });
}
