// Runs N of each operation against the peer in its own process and prints what each cost it, as JSON.
import { spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
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
const call = (path, form, headers = {}) =>
  new Promise((done, failed) => {
    const r = request(issuer + path, { agent, method: form ? 'POST' : 'GET', headers: form ? { 'content-type': 'application/x-www-form-urlencoded', ...headers } : headers }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += part));
      answer.on('end', () => done({ status: answer.statusCode, text }));
    });
    r.on('error', failed);
    r.end(form && new URLSearchParams(form).toString());
  });

// A proof of possession (RFC 9449) for the token endpoint.
const holder = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { kty, crv, x, y } = holder.publicKey.export({ format: 'jwk' });
const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const head = text({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } });
const proof = () => {
  const input = `${head}.${text({ htm: 'POST', htu: `${issuer}/token`, jti: randomUUID(), iat: Math.floor(Date.now() / 1000) })}`;
  return { dpop: `${input}.${sign('sha256', Buffer.from(input), { key: holder.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}` };
};

const tokens = async (form, headers) => {
  const answer = await call('/token', form, headers);
  if (answer.status !== 200) throw new Error(answer.text);
  return JSON.parse(answer.text);
};
const start = async (scope) => JSON.parse((await call('/device/auth', { client_id: 'bench', scope })).text);
const poll = (started) => ({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'bench', device_code: started.device_code });
const flow = async (scope, headers) => {
  const started = await start(scope);
  await call('/token', poll(started), headers?.());
  await call(`/grant?user_code=${encodeURIComponent(started.user_code)}`);
  const given = await tokens(poll(started), headers?.());
  if (!given.id_token) throw new Error('no ID token');
  return given;
};
const ticks = () => {
  const stat = readFileSync(`/proc/${server.pid}/stat`, 'utf8');
  const parts = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(parts[11]) + Number(parts[12]);
};
const LANES = 8;
const measured = async (act) => {
  const lanes = Array.from({ length: LANES }, (_, lane) => lane);
  const run = (each) => Promise.all(lanes.map(async (lane) => { for (let i = 0; i < each; i++) await act(lane); }));
  await run(Math.ceil(Math.min(500, n) / LANES));
  const [before, began, each] = [ticks(), performance.now(), Math.ceil(n / LANES)];
  await run(each);
  const seconds = (performance.now() - began) / 1000;
  return { cpu_us: ((ticks() - before) * 10_000) / (each * LANES), per_second: (each * LANES) / seconds };
};
try {
  const told = { 'device flow': await measured(() => flow('openid profile')) };
  told['device grant: start'] = await measured(() => start('openid profile'));
  // Each code in turn: it tells nobody to slow down, and keeps a thousand at most.
  const polls = async (name, start, poll) => {
    const codes = await Promise.all(Array.from({ length: 64 }, start));
    let turn = 0;
    const asked = async (headers) => {
      const answer = await call('/token', poll(codes[turn++ % codes.length]), headers);
      if (JSON.parse(answer.text).error !== 'authorization_pending') throw new Error(answer.text);
    };
    told[`${name}: poll`] = await measured(() => asked());
    told[`${name}: poll with DPoP`] = await measured(() => asked(proof()));
  };
  await polls('device grant', () => start('openid profile'), poll);
  const caller = { client_id: 'caller', client_secret: 'only for a benchmark' };
  const ring = async () => {
    const told = JSON.parse((await call('/backchannel', { ...caller, scope: 'openid profile', login_hint: 'person' })).text);
    if (!told.auth_req_id) throw new Error(JSON.stringify(told));
    return told;
  };
  told['CIBA: start'] = await measured(ring);
  await polls('CIBA', ring, (begun) => ({ ...caller, grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id: begun.auth_req_id }));
  const held = await Promise.all(Array.from({ length: LANES }, () => flow('openid profile offline_access', proof)));
  told['refresh with DPoP'] = await measured(async (lane) => {
    held[lane] = await tokens({ grant_type: 'refresh_token', client_id: 'bench', refresh_token: held[lane].refresh_token }, proof());
  });
  const machine = { client_id: 'machine', client_secret: 'only for a benchmark' };
  told.introspection = await measured(async (lane) => {
    const answer = await call('/token/introspection', { ...machine, token: held[lane].refresh_token });
    if (!JSON.parse(answer.text).active) throw new Error(answer.text);
  });
  told['client credentials'] = await measured(() => tokens({ ...machine, grant_type: 'client_credentials' }));
  told['client credentials with DPoP'] = await measured(() => tokens({ ...machine, grant_type: 'client_credentials' }, proof()));
  console.log(JSON.stringify(told));
} finally {
  agent.destroy();
  server.kill();
}
