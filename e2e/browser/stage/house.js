// A house with a name: what an installation has that a trial on `localhost` has not. Certificates of an authority that only
// its own visitors trust, HTTPS at the real port as browsers see it, and, where asked for, nginx in front with the very file
// of `deploy/`. Visitors stand at addresses of their own, so that near and far are real.
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Line } from './line.js';
import { freePort } from './server.js';

const tree = (path) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');
const SHIPPED = tree('deploy/nginx.conf');
const RECIPE = tree('docs/real-phone.md');
// Debian keeps nginx where only administrators look.
process.env.PATH += ':/usr/sbin';
const NOBODY = 65_534;
const START_MS = 60_000;
/** What stands between nginx and the server: this address alone is a trusted proxy. */
const PROXY = '127.0.0.1';

const run = (program, args, settings) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', ...settings });

export class House {
  #closing = [];
  lines = [];

  /** `proxied`: nginx speaks TLS, else the server does, with certificate files. */
  static async build({ name = 'id.shop.test', proxied = false } = {}) {
    const house = new House();
    house.name = name;
    house.issuer = `https://${name}`;
    house.proxied = proxied;
    house.directory = mkdtempSync(join(tmpdir(), 'countersign-house-'));
    // The door that visitors come to, and the server's own, which is another where nginx stands in front
    house.port = await freePort();
    house.inside = proxied ? await freePort() : house.port;
    house.#certificates();
    return house;
  }

  path(name) {
    return join(this.directory, name);
  }

  /** An authority of our own, and what it says about our name: as docs/real-phone.md tells people to make them */
  #certificates() {
    const [block] = /\n *openssl req -x509[^`]*/.exec(RECIPE);
    run('sh', ['-euc', block.replaceAll('id.example.org', this.name)], { cwd: this.directory });
    this.authority = readFileSync(this.path('ca.pem'), 'utf8');
  }

  /** Lines of `countersign.toml` */
  get settings() {
    const tls = `tls = { certificate = "${this.path('fullchain.pem')}", key = "${this.path('key.pem')}" }`;
    return `issuer = "${this.issuer}"\nlisten = "127.0.0.1:${this.inside}"\n${this.proxied ? `trusted_proxies = ["${PROXY}/32"]` : tls}\n`;
  }

  /** nginx, in front of a server that may not be there yet */
  async open() {
    if (!this.proxied) return;
    this.#configure(await freePort());
    const user = process.getuid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    if (user.uid) for (const name of ['.', 'key.pem', 'fullchain.pem', 'tmp', 'log']) chownSync(this.path(name), NOBODY, NOBODY);
    const args = ['-p', this.directory, '-c', this.path('nginx.conf'), '-e', 'stderr'];
    run('nginx', ['-t', '-q', ...args], user);
    const running = spawn('nginx', [...args, '-g', 'daemon off;'], { ...user, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    running.stderr.on('data', (bytes) => (said += bytes));
    const ended = new Promise((resolve) => running.on('exit', resolve));
    this.#closing.push(async () => {
      running.kill('SIGTERM');
      await ended;
    });
    const until = Date.now() + START_MS;
    while (!(await listens(this.port))) {
      if (running.exitCode !== null || Date.now() > until) throw new Error(`nginx did not start:\n${said}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The shipped file with other places in it, and around it what Debian's own `nginx.conf` would say */
  #configure(plain) {
    const places = [
      [/id\.example\.org\/(?=fullchain|key)/g, ''],
      [/\/etc\/ssl\//g, `${this.directory}/`],
      [/\/var\/log\/nginx\//g, `${this.path('log')}/`],
      [/id\.example\.org/g, this.name],
      [/127\.0\.0\.1:7310/g, `127.0.0.1:${this.inside}`],
      [/(listen (?:\[::\]:)?)443/g, `$1${this.port}`],
      [/(listen (?:\[::\]:)?)80;/g, `$1${plain};`],
    ];
    let site = SHIPPED;
    for (const [what, by] of places) {
      if (!what.test(site)) throw new Error(`\`${what}\` is not in deploy/nginx.conf`);
      site = site.replace(what, by);
    }
    // Without IPv6 there is nothing to listen on.
    if (!existsSync('/proc/net/if_inet6')) site = site.replace(/^\s*listen \[::\].*$/gm, '');
    for (const name of ['tmp', 'log']) mkdirSync(this.path(name), { recursive: true });
    writeFileSync(this.path('site.conf'), site);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${this.path('tmp')}/${one};`);
    writeFileSync(this.path('nginx.conf'), `pid ${this.path('tmp')}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\ninclude ${this.path('site.conf')};\n}\n`);
    this.plain = plain;
  }

  /** What nginx wrote about requests */
  accessLog() {
    return readFileSync(join(this.path('log'), 'countersign.log'), 'utf8');
  }

  /**
   * How a browser is to be started so that it trusts the authority and comes from `address`, one of 127.0.0.0/8.
   * `stand(address)` takes it to another place. `slow` leads it over a `Line`, which reports what it carried in `this.lines`.
   */
  async visitor(address, { slow = false } = {}) {
    let from = address;
    const line = slow && (await Line.lay(this.port, from));
    if (line) {
      this.lines.push(line);
      this.#closing.push(() => line.close());
    }
    const ways = new Set();
    const door = createServer((near) => {
      const far = line ? connect(line.entry) : connect({ host: '127.0.0.1', port: this.port, localAddress: from });
      ways.add(near);
      for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => other.destroy()).on('close', () => other.destroy()).pipe(other);
      near.on('close', () => ways.delete(near));
    });
    await new Promise((resolve) => door.listen(0, '127.0.0.1', resolve));
    const leave = () => ways.forEach((way) => way.destroy());
    this.#closing.push(() => (leave(), door.close()));
    return {
      arguments: [`--host-resolver-rules=MAP ${this.name}:443 127.0.0.1:${door.address().port}`],
      prepare: (home) => {
        const store = join(home, '.pki', 'nssdb');
        mkdirSync(store, { recursive: true });
        run('certutil', ['-d', `sql:${store}`, '-N', '--empty-password']);
        const [trust] = /certutil -d [^`]*/.exec(RECIPE);
        run('sh', ['-euc', trust], { cwd: this.directory, env: { ...process.env, HOME: home } });
      },
      stand: (elsewhere) => {
        from = elsewhere;
        leave();
      },
    };
  }

  /** `fetch` for programs of this house: they know where the name leads, and trust its authority alone. */
  fetch = (to, { method = 'GET', headers = {}, body } = {}) => {
    const url = new URL(to);
    if (url.host !== this.name) return Promise.reject(new Error(`${url.host} is somebody else`));
    const form = body instanceof URLSearchParams ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
    const where = { host: '127.0.0.1', port: this.port, servername: this.name, ca: this.authority, path: url.pathname + url.search };
    return new Promise((resolve, reject) => {
      const asking = request({ ...where, method, headers: { host: url.host, ...form, ...headers } }, async (answer) => {
        const parts = [];
        for await (const part of answer) parts.push(part);
        const whole = [204, 304].includes(answer.statusCode) ? null : Buffer.concat(parts);
        resolve(new Response(whole, { status: answer.statusCode, headers: Object.entries(answer.headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one])) }));
      });
      asking.on('error', reject).end(body === undefined ? undefined : String(body));
    });
  };

  async close() {
    for (const close of this.#closing.reverse()) await close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const listens = (port) =>
  new Promise((resolve) => {
    const asking = connect({ host: '127.0.0.1', port });
    asking.on('connect', () => asking.end(() => resolve(true))).on('error', () => resolve(false));
  });
