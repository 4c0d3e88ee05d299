// The real program, on a free port, with a directory of its own that is thrown away.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
const START_MS = 90_000;

/** A program of this repository, as `cargo build` leaves it */
export function program(name) {
  const path = join(TARGET, 'debug', name);
  if (!existsSync(path)) throw new Error(`\`${path}\` is missing: run \`cargo build --workspace --bins\` first`);
  return path;
}

/** A port that nobody uses at this moment */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const listener = createServer();
    listener.on('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });

const client = ({ id, name, redirect, scopes, more = '' }) => `
[[clients]]
id = "${id}"
name = "${name}"
redirect_uris = ["${redirect}"]
scopes = [${scopes.map((one) => `"${one}"`).join(', ')}]
${more}
`;

/** Where it is when nothing is said: this machine, without TLS */
async function nearby() {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  return { issuer, fetch, settings: `issuer = "${issuer}"\nlisten = "127.0.0.1:${port}"\n` };
}

/** Starts it, in `house` if there is one; `top` are further settings, `more` ends its configuration. `{ issuer, link, log(), command(words), stop() }` */
export async function serve({ organisation, clients, house, top = '', more = '' }) {
  const countersign = program('countersign');
  const directory = mkdtempSync(join(tmpdir(), 'countersign-e2e-'));
  const { issuer, settings, fetch } = house ?? (await nearby());
  const file = join(directory, 'countersign.toml');
  const text = `${settings}database = "sqlite:${join(directory, 'countersign.db')}"
seal_key_file = "${join(directory, 'countersign.seal')}"
organisation = "${organisation}"
${top}
${clients.map(client).join('')}${more}`;
  writeFileSync(file, text);
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTERSIGN_'));
  const env = { ...Object.fromEntries(kept), COUNTERSIGN_CONFIG: file };
  const running = spawn(countersign, ['serve', '--config', file], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [running.stdout, running.stderr]) stream.on('data', (bytes) => (said += bytes));
  const ended = new Promise((resolve) => running.on('exit', resolve));
  const stop = async () => {
    running.kill('SIGTERM');
    const late = setTimeout(() => running.kill('SIGKILL'), 12_000);
    await ended;
    clearTimeout(late);
    rmSync(directory, { recursive: true, force: true });
  };
  const until = Date.now() + START_MS;
  for (;;) {
    const link = /https?:\/\/\S+\/enrol#[\w-]+/.exec(said)?.[0];
    const ready = link && (await fetch(`${issuer}/readyz`).then((answer) => answer.ok).catch(() => false));
    const command = (words) => execFileSync(countersign, words, { cwd: directory, env, encoding: 'utf8' });
    if (ready) return { issuer, link, log: () => said, command, stop };
    if (running.exitCode !== null || Date.now() > until) {
      await stop();
      throw new Error(`the server did not start:\n${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
