// A client that can do what the conformance suite's can: also what is wrong. Requests are built by hand, so that each part of
// them can be left out or changed; nothing of Countersign is used but its doors and `play`.
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { payload, signsIn } from '../kit.mjs';

export const random = (n = 16) => randomBytes(n).toString('base64url');
export const now = () => Math.floor(Date.now() / 1000);
const digest = (text) => createHash('sha256').update(text).digest('base64url');
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const form = (fields) => new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));

/** A JWT by `key` (private JWK, P-256); `header` and `claims` as they are given */
export function jwt(header, claims, key) {
  const text = `${part({ alg: 'ES256', ...header })}.${part(claims)}`;
  if (!key) return `${text}.`;
  const by = { key: createPrivateKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  return `${text}.${sign('sha256', Buffer.from(text), by).toString('base64url')}`;
}

/** A JWT by RS256, with a key of its own: a weak one where only strong ones are good */
export function weak(header, claims) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const text = `${part({ ...header, alg: 'RS256' })}.${part(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
}

export const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
export const open = ({ kty, crv, x, y }) => ({ kty, crv, x, y });
export const thumbprint = ({ crv, kty, x, y }) => digest(`{"crv":"${crv}","kty":"${kty}","x":"${x}","y":"${y}"}`);

export class Rp {
  #nonce;

  /** `client` as `deploy/conformance/make.mjs` made it */
  constructor(server, client, redirect) {
    Object.assign(this, { server, redirect, ...client });
    this.dpopKey = newKey();
  }

  /** Where a request with these parameters is asked; `null` leaves one out. */
  url(more) {
    return `${this.server.authorization_endpoint}?${form({ client_id: this.id, redirect_uri: this.redirect, response_type: 'code', scope: 'openid', ...more })}`;
  }

  /** The answer that a person's browser brings back: its parameters, or `{ page: true }` if it stays on a page of the server. */
  async asks(url, ...flags) {
    try {
      const back = await signsIn(url, ...flags);
      const all = Object.fromEntries(back.searchParams);
      return all.response ? { ...payload(all.response), jarm: all.response, at: back } : { ...all, at: back };
    } catch (e) {
      if (/http_400/.test(String(e.stderr))) return { page: true };
      throw e;
    }
  }

  /** What shows who it is: `[headers, fields]` */
  shown(change = {}) {
    if (this.auth === 'client_secret_basic') return [{ authorization: `Basic ${Buffer.from(`${this.id}:${this.secret}`).toString('base64')}` }, {}];
    if (this.auth === 'client_secret_post') return [{}, { client_id: this.id, client_secret: this.secret }];
    const claims = { iss: this.id, sub: this.id, aud: this.server.issuer, iat: now(), exp: now() + 60, jti: random(), ...change };
    const header = { kid: this.key.kid };
    const text = change.alg === 'RS256' ? weak(header, claims) : jwt(header, claims, this.key);
    return [{}, { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: text }];
  }

  /** A proof, with the newest nonce; `change` replaces claims, `header` members of the header. */
  proof(method, url, change = {}, header = {}, key = this.dpopKey) {
    const claims = { jti: random(), htm: method, htu: url, iat: now(), nonce: this.#nonce, ...change };
    return jwt({ typ: 'dpop+jwt', jwk: open(key), ...header }, claims, key);
  }

  /** Sends; asked for a nonce, once more with it. `make` is called for each try. */
  async send(url, make) {
    for (let tries = 0; ; tries += 1) {
      const answer = await fetch(url, { redirect: 'manual', ...make() });
      const nonce = answer.headers.get('dpop-nonce');
      const text = await answer.text();
      let body;
      try {
        body = JSON.parse(text);
      } catch {
        body = undefined;
      }
      const error = body?.error ?? /error="([^"]*)"/.exec(answer.headers.get('www-authenticate') ?? '')?.[1];
      if (nonce) this.#nonce = nonce;
      if (error === 'use_dpop_nonce' && tries === 0) continue;
      return { status: answer.status, headers: answer.headers, body, error };
    }
  }

  /** A form to an endpoint, as this client. `dpop`: whether a proof comes along, or how it is made. */
  post(url, fields, { dpop = this.auth === 'private_key_jwt', shown } = {}) {
    return this.send(url, () => {
      const [headers, own] = this.shown(shown);
      const proof = typeof dpop === 'function' ? dpop(url) : dpop && this.proof('POST', url);
      return { method: 'POST', headers: { ...headers, ...(proof ? { dpop: proof } : {}) }, body: form({ ...own, ...fields }) };
    });
  }

  token(fields, how) {
    return this.post(this.server.token_endpoint, fields, how);
  }

  exchange(code, more, how) {
    return this.token({ grant_type: 'authorization_code', code, redirect_uri: this.redirect, ...more }, how);
  }

  /** Who a token speaks for, shown as it is bound */
  about(token, { method = 'GET', scheme, dpop = true, body } = {}) {
    const url = this.server.userinfo_endpoint;
    const bound = this.auth === 'private_key_jwt';
    return this.send(url, () => {
      const headers = token ? { authorization: `${scheme ?? (bound ? 'DPoP' : 'Bearer')} ${token}` } : {};
      const proof = bound && dpop && (typeof dpop === 'function' ? dpop(url) : this.proof(method, url, { ath: digest(token) }));
      return { method, headers: { ...headers, ...(proof ? { dpop: proof } : {}) }, body };
    });
  }

  ath = digest;

  /** Claims of an ID token that holds */
  async verified(text, nonce) {
    const keys = createRemoteJWKSet(new URL(this.server.jwks_uri));
    const { payload: claims, protectedHeader } = await jwtVerify(text, keys, { issuer: this.server.issuer, audience: this.id });
    if (nonce !== undefined && claims.nonce !== nonce) throw new Error('another nonce');
    return { ...claims, header: protectedHeader };
  }

  /** PKCE: what is asked, and what is shown for it */
  pkce() {
    const verifier = random(48);
    return { verifier, asked: { code_challenge: digest(verifier), code_challenge_method: 'S256' } };
  }

  /** The claims of a request object with these parameters */
  object(fields, change = {}) {
    const claims = { iss: this.id, aud: this.server.issuer, iat: now(), nbf: now(), exp: now() + 300, jti: random(), client_id: this.id, redirect_uri: this.redirect, response_type: 'code', scope: 'openid', ...fields, ...change };
    return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
  }
}
