// A till: an application that signs people in with OpenID Connect (code, PKCE, DPoP) and hears when a session ends.
// What it believes, it has verified with Node's own cryptography and nothing of ours.
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { createServer } from 'node:http';

const text64 = (value) => Buffer.from(value).toString('base64url');
const random = () => randomBytes(24).toString('base64url');
const sha = (value) => createHash('sha256').update(value).digest('base64url');
const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

async function body(request) {
  let text = '';
  for await (const part of request) text += part;
  return new URLSearchParams(text);
}

export class Till {
  /** Sessions by our own cookie: `{ sid, sub, name }` */
  sessions = new Map();
  /** Every logout token that was taken, and every one that was not */
  heard = [];
  faults = [];
  /** Answers that came as a form */
  forms = 0;
  #started = new Map();
  #key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  #nonce = '';
  #issuer = '';
  #server;

  /** `fetch`: how it reaches the issuer, where that is not by the machine's own means */
  constructor({ id, name, scope, fetch = globalThis.fetch }) {
    this.fetch = fetch;
    this.id = id;
    this.name = name;
    this.scope = scope;
    this.#server = createServer((request, reply) => {
      this.#answer(request, reply).catch((fault) => {
        this.faults.push(fault);
        reply.writeHead(500, { 'content-type': 'text/plain' }).end(String(fault?.message ?? fault));
      });
    });
  }

  /** Opens the doors; the server is told where they are before it is there itself. */
  async open(port = 0) {
    await new Promise((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.origin = `http://localhost:${this.#server.address().port}`;
    return { id: this.id, name: this.name, redirect: `${this.origin}/back`, scopes: this.scope.split(' ').filter((one) => one !== 'openid'), more: `backchannel_logout_uri = "${this.origin}/ended"\npost_logout_redirect_uris = ["${this.origin}/"]\ndetail_types = ["payment"]` };
  }

  /** Learns from the issuer's metadata where everything is. */
  async connect(issuer) {
    this.#issuer = issuer;
    this.meta = await (await this.fetch(`${issuer}/.well-known/openid-configuration`)).json();
    if (this.meta.issuer !== issuer) throw new Error('another issuer');
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request, reply) {
    const url = new URL(request.url, this.origin);
    const cookie = /(?:^|; )till=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
    const page = (status, title, body) => {
      const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,"><h1>${title}</h1>${body}</html>`;
      reply.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(html);
    };
    const away = (to, headers = {}) => reply.writeHead(303, { location: to, ...headers }).end();
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /': {
        const session = this.sessions.get(cookie);
        if (session) return page(200, 'Till open', `<p id="person">${escaped(session.name ?? '')}</p><p id="sub">${escaped(session.sub)}</p><a id="logout" href="/logout">Sign out</a>`);
        return page(200, 'Till closed', `<p id="why">${escaped(url.searchParams.get('why') ?? '')}</p><a id="login" href="/login">Sign in</a>`);
      }
      case 'GET /login':
        return away(this.#ask(url.searchParams));
      case 'POST /back':
        url.search = (await body(request)).toString();
        this.forms += 1;
      // falls through: the same answer, sent as a form
      case 'GET /back': {
        const refused = url.searchParams.get('error');
        if (refused) return away(`/?why=${encodeURIComponent(refused)}`);
        const session = await this.#exchange(url);
        const fresh = random();
        this.sessions.set(fresh, session);
        return away('/', { 'set-cookie': `till=${fresh}; Path=/; HttpOnly; SameSite=Lax` });
      }
      case 'GET /discount': {
        const session = this.sessions.get(cookie);
        if (session?.scope.includes('discount') && (await this.#about(session.access_token)).ok) return page(200, 'Ten per cent off', '<p id="given">Given</p><a href="/">Back</a>');
        return page(200, 'No discount', '<p>Somebody has to approve it.</p><a id="ask" href="/login?scope=openid+profile+discount">Ask for it</a>');
      }
      case 'GET /logout': {
        const session = this.sessions.get(cookie);
        this.sessions.delete(cookie);
        const to = new URL(this.meta.end_session_endpoint);
        to.searchParams.set('id_token_hint', session?.id_token ?? '');
        to.searchParams.set('post_logout_redirect_uri', `${this.origin}/`);
        return away(to.href);
      }
      case 'POST /ended': {
        const claims = await this.#verified((await body(request)).get('logout_token') ?? '');
        if (!claims.events?.['http://schemas.openid.net/event/backchannel-logout'] || claims.nonce) throw new Error('not a logout token');
        this.heard.push(claims);
        for (const [id, session] of this.sessions) if (session.sid === claims.sid || (!claims.sid && session.sub === claims.sub)) this.sessions.delete(id);
        return reply.writeHead(200, { 'cache-control': 'no-store' }).end();
      }
      default:
        return page(404, 'Nothing here', '');
    }
  }

  #ask(more) {
    const [state, nonce, verifier] = [random(), random(), random() + random()];
    this.#started.set(state, { nonce, verifier });
    const to = new URL(this.meta.authorization_endpoint);
    const asked = { response_type: 'code', client_id: this.id, redirect_uri: `${this.origin}/back`, scope: this.scope, state, nonce, code_challenge: sha(verifier), code_challenge_method: 'S256' };
    for (const [key, value] of [...Object.entries(asked), ...more]) to.searchParams.set(key, value);
    return to.href;
  }

  #proof(method, to, token) {
    const { kty, crv, x, y } = this.#key.publicKey.export({ format: 'jwk' });
    const head = text64(JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }));
    const claims = { jti: random(), htm: method, htu: to, iat: Math.floor(Date.now() / 1000), ...(this.#nonce && { nonce: this.#nonce }), ...(token && { ath: sha(token) }) };
    const signed = `${head}.${text64(JSON.stringify(claims))}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), { key: this.#key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  async #exchange(url) {
    const started = this.#started.get(url.searchParams.get('state'));
    if (!started) throw new Error('a state that nobody began');
    this.#started.delete(url.searchParams.get('state'));
    if (url.searchParams.get('iss') !== this.#issuer) throw new Error('no `iss`, or another one (RFC 9207)');
    const body = new URLSearchParams({ grant_type: 'authorization_code', code: url.searchParams.get('code') ?? '', redirect_uri: `${this.origin}/back`, client_id: this.id, code_verifier: started.verifier });
    let answer;
    for (let tries = 0; tries < 2; tries += 1) {
      answer = await this.fetch(this.meta.token_endpoint, { method: 'POST', body, headers: { DPoP: this.#proof('POST', this.meta.token_endpoint) } });
      this.#nonce = answer.headers.get('dpop-nonce') ?? this.#nonce;
      if (answer.ok || (await answer.clone().json()).error !== 'use_dpop_nonce') break;
    }
    const tokens = await answer.json();
    if (!answer.ok) throw new Error(`token endpoint: ${JSON.stringify(tokens)}`);
    if (tokens.token_type !== 'DPoP') throw new Error(`a token of type ${tokens.token_type}`);
    const claims = await this.#verified(tokens.id_token);
    if (claims.nonce !== started.nonce) throw new Error('another nonce');
    const { sub, name } = await (await this.#about(tokens.access_token)).json();
    if (sub !== claims.sub) throw new Error('userinfo about somebody else');
    return { ...claims, name, id_token: tokens.id_token, access_token: tokens.access_token, scope: tokens.scope.split(' ') };
  }

  /** What the issuer says of a token's person; not ok when the token opens nothing any more */
  async #about(token) {
    const { userinfo_endpoint } = this.meta;
    let about;
    for (let tries = 0; tries < 2; tries += 1) {
      about = await this.fetch(userinfo_endpoint, { headers: { authorization: `DPoP ${token}`, DPoP: this.#proof('GET', userinfo_endpoint, token) } });
      this.#nonce = about.headers.get('dpop-nonce') ?? this.#nonce;
      if (about.status !== 401) break;
    }
    return about;
  }

  /** Claims of a token that the issuer signed for us */
  async #verified(token) {
    const [head, payload, signature] = token.split('.');
    const { alg, kid } = JSON.parse(Buffer.from(head, 'base64url'));
    const { keys } = await (await this.fetch(this.meta.jwks_uri)).json();
    const jwk = keys.find((one) => one.kid === kid);
    if (alg !== 'ES256' || !jwk) throw new Error('signed by nobody we know');
    const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
    if (!verify('sha256', Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url'))) throw new Error('a forged token');
    const claims = JSON.parse(Buffer.from(payload, 'base64url'));
    if (claims.iss !== this.#issuer || ![claims.aud].flat().includes(this.id)) throw new Error('a token for somebody else');
    return claims;
  }
}
