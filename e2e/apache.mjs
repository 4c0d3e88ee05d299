// Apache with mod_auth_openidc, as Debian ships both, protects a page: with the file of `deploy/`, other names in it. The software phone
// plays the person, and what stands between is a browser as small as it can be: cookies, and redirects that it follows one by one.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, program, serve } from './browser/stage/server.js';
import { check, count, fell, held } from './count.mjs';

const APACHE = process.env.APACHE ?? '/usr/sbin/apache2';
const MODULES = process.env.APACHE_MODULES ?? '/usr/lib/apache2/modules';
const NEEDED = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'dir', 'env', 'include', 'mime', 'auth_openidc'];
const SHIPPED = readFileSync(fileURLToPath(new URL('../deploy/apache.conf', import.meta.url)), 'utf8');
const SECRET = 'a secret only for tests';
const NOBODY = 65_534;
const START_MS = 60_000;
const PLAY = program('countersign-device');

const home = mkdtempSync(join(tmpdir(), 'countersign-apache-'));
const path = (name) => join(home, name);
const port = await freePort();
const wiki = `http://localhost:${port}`;

/** The shipped file with other names in it, and around it what Debian's own `apache2.conf` would say */
function configure(issuer) {
  const places = [
    [/^ *SSL.*\n/gm, ''],
    [/\*:443/, `127.0.0.1:${port}`],
    [/https:\/\/id\.example\.org/g, issuer],
    [/https:\/\/wiki\.example\.org/g, wiki],
    [/wiki\.example\.org/g, 'localhost'],
    [/the-secret-of-this-client/, `"${SECRET}"`],
    [/\/var\/www\/wiki/, path('pages')],
  ];
  let site = SHIPPED;
  for (const [what, by] of places) {
    if (!what.test(site)) throw new Error(`\`${what}\` is not in deploy/apache.conf`);
    site = site.replace(what, by);
  }
  mkdirSync(path('pages'));
  writeFileSync(path('pages/index.shtml'), '<p id="who"><!--#echo var="REMOTE_USER" --></p><p id="name"><!--#echo var="OIDC_CLAIM_name" --></p><p id="acr"><!--#echo var="OIDC_CLAIM_acr" --></p><p id="sid"><!--#echo var="OIDC_CLAIM_sid" --></p>\n');
  writeFileSync(path('pages/bye.html'), 'Bye.\n');
  writeFileSync(path('site.conf'), site);
  const root = process.getuid() === 0;
  writeFileSync(path('apache.conf'), `ServerRoot ${home}
PidFile ${path('pid')}
DefaultRuntimeDir ${home}
ErrorLog ${path('error.log')}
LogLevel warn
Listen 127.0.0.1:${port}
ServerName localhost
${NEEDED.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
${root ? `User #${NOBODY}\nGroup #${NOBODY}\n` : ''}TypesConfig /dev/null
AddType text/html .html .shtml
AddOutputFilter INCLUDES .shtml
DirectoryIndex index.shtml
<Directory ${path('pages')}>
Options +Includes
Require all granted
</Directory>
Include ${path('site.conf')}
`);
  chmodSync(home, 0o755);
  if (root) chownSync(home, NOBODY, NOBODY);
}

async function apache() {
  const args = ['-d', home, '-f', path('apache.conf')];
  execFileSync(APACHE, ['-t', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const running = spawn(APACHE, ['-D', 'FOREGROUND', ...args], { stdio: 'ignore' });
  const log = () => (existsSync(path('error.log')) ? readFileSync(path('error.log'), 'utf8') : '');
  const ended = new Promise((resolve) => running.on('exit', resolve));
  const until = Date.now() + START_MS;
  while (!(await fetch(`${wiki}/bye.html`).then((answer) => answer.ok).catch(() => false))) {
    if (running.exitCode !== null || Date.now() > until) throw new Error(`Apache did not start:\n${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const stop = async () => {
    running.kill('SIGTERM');
    await ended;
  };
  return { log, stop };
}

/** A browser at the wiki: its cookies, and no more */
class Visitor {
  #cookies = new Map();

  constructor(name) {
    this.kept = path(name);
  }

  async visit(to) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await new Promise((resolve, reject) => get(to, { headers: { cookie, accept: 'text/html' } }, resolve).on('error', reject));
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === '' || /expires=thu, 01[ -]jan[ -]1970/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    let text = '';
    for await (const part of answer.setEncoding('utf8')) text += part;
    const shown = Object.fromEntries([...text.matchAll(/<p id="(\w+)">([^<]*)<\/p>/g)].map(([, id, value]) => [id, value]));
    return { status: answer.statusCode, to: answer.headers.location, text, shown };
  }

  async play(word, url) {
    const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: path('phone') };
    const { stdout } = await promisify(execFile)(PLAY, ['play', word, url, '--browser', this.kept], { env, timeout: 180_000 });
    return stdout.trim().split('\n').at(-1);
  }

  /** From the protected page to the protected page, by way of the phone */
  async signIn() {
    const sent = await this.visit(`${wiki}/`);
    const back = await this.visit(await this.play('authorize', sent.to));
    return { sent, back, page: await this.visit(`${wiki}/`) };
  }
}

async function walk(server) {
  const visitor = new Visitor('browser');
  const { sent, back, page } = await visitor.signIn();
  const asked = new URL(sent.to);
  check('a stranger is sent to sign in', sent.status === 302 && asked.origin === server.issuer && sent.text.includes('Administrator') === false, sent);
  check('with PKCE', asked.searchParams.get('code_challenge_method') === 'S256', sent.to);
  check('and comes back to the page', back.status === 302 && back.to === `${wiki}/`, back);
  check('which shows who it is', page.status === 200 && page.shown.name === 'Administrator' && page.shown.who !== '', page);
  check('and how they signed in', page.shown.acr === 'urn:countersign:acr:xd2', page.shown);
  const other = await new Visitor('other').visit(`${wiki}/`);
  check('nobody else has a session by that', other.status === 302, other);

  const leaving = await visitor.visit(`${wiki}/signed-in?logout=${encodeURIComponent(`${wiki}/bye.html`)}`);
  check('signing out leads to the log-out here', leaving.to?.startsWith(`${server.issuer}/logout?`), leaving);
  const bye = await visitor.play('sign-out', leaving.to);
  check('and from there to the page for it', bye === `${wiki}/bye.html`, bye);
  const gone = await visitor.visit(`${wiki}/`);
  check('then the page is closed', gone.status === 302, gone);
  const fresh = await visitor.signIn();
  check('and a new session is another one', fresh.page.status === 200 && fresh.page.shown.sid !== page.shown.sid, fresh.page);

  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: path('phone') };
  execFileSync(PLAY, ['end', fresh.page.shown.sid], { env });
  const until = Date.now() + START_MS;
  let last;
  do last = await visitor.visit(`${wiki}/`);
  while (last.status === 200 && Date.now() < until);
  check('ended on the phone, the page closes although nobody touched the browser', last.status === 302, last);
}

const server = await serve({
  organisation: 'Harbour Books',
  clients: [{
    id: 'wiki',
    name: 'Wiki',
    redirect: `${wiki}/signed-in`,
    scopes: ['profile'],
    more: `auth = "client_secret_basic"
secret_hash = "${createHash('sha256').update(SECRET).digest('base64url')}"
danger_allow_bearer = true
post_logout_redirect_uris = ["${wiki}/bye.html"]
backchannel_logout_uri = "${wiki}/signed-in?logout=backchannel"`,
  }],
});
let front;
try {
  configure(server.issuer);
  front = await apache();
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: path('phone') };
  execFileSync(PLAY, ['enrol', server.link, '--name', 'Software phone'], { env, stdio: 'ignore' });
  await walk(server);
} catch (e) {
  fell(e);
} finally {
  if (!held()) console.error(server.log(), front?.log());
  await front?.stop();
  await server.stop();
  rmSync(home, { recursive: true, force: true });
}
count();
