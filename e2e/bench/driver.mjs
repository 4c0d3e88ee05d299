// Runs N device flows against the peer on its own process and prints CPU per flow as JSON.
import { spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

const n = Number(process.argv[2] ?? 2000);
const key = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'bench' };
const pinned = spawnSync('taskset', ['-V']).status === 0;
const command = [process.execPath, new URL('server.mjs', import.meta.url).pathname];
if (pinned) command.unshift('taskset', '-c', '0');
const server = spawn(command[0], command.slice(1), { env: { ...process.env, BENCH_KEY: JSON.stringify(key), NODE_ENV: 'production' }, stdio: ['ignore', 'pipe', 'ignore'] });
const issuer = await new Promise((found, lost) => {
  server.stdout.on('data', (text) => /^http/m.test(text) && found(String(text).match(/http\S+/)[0]));
  server.on('exit', () => lost(new Error('the peer ended')));
});
const agent = new Agent({ keepAlive: true, maxSockets: 16 });
const call = (path, form) =>
  new Promise((done, failed) => {
    const r = request(issuer + path, { agent, method: form ? 'POST' : 'GET', headers: form ? { 'content-type': 'application/x-www-form-urlencoded' } : {} }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += part));
      answer.on('end', () => done({ status: answer.statusCode, text }));
    });
    r.on('error', failed);
    r.end(form && new URLSearchParams(form).toString());
  });
const flow = async () => {
  const started = JSON.parse((await call('/device/auth', { client_id: 'bench', scope: 'openid profile' })).text);
  const poll = () => call('/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'bench', device_code: started.device_code });
  await poll();
  await call(`/grant?user_code=${encodeURIComponent(started.user_code)}`);
  const tokens = await poll();
  if (tokens.status !== 200 || !JSON.parse(tokens.text).id_token) throw new Error(tokens.text);
};
const ticks = () => {
  const stat = readFileSync(`/proc/${server.pid}/stat`, 'utf8');
  const parts = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(parts[11]) + Number(parts[12]);
};
const many = async (count) => {
  let left = count;
  await Promise.all(Array.from({ length: 8 }, async () => { while (left-- > 0) await flow(); }));
};
try {
  await many(Math.min(500, n));
  const [before, began] = [ticks(), performance.now()];
  await many(n);
  const seconds = (performance.now() - began) / 1000;
  console.log(JSON.stringify({ cpu_us: ((ticks() - before) * 10_000) / n, per_second: n / seconds, pinned }));
} finally {
  agent.destroy();
  server.kill();
}
