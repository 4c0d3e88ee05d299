// Shows a key with every request (RFC 9449), for a client library that knows bearer tokens alone: it says `Bearer`, this says `DPoP`.
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A key, and `fetch` that proves it. `places` are the addresses that ask for it */
export function bound(...places) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  const nonces = new Map();
  const proof = (method, url, token, nonce) => {
    const head = { typ: 'dpop+jwt', alg: 'ES256', jwk };
    const ath = token && createHash('sha256').update(token).digest('base64url');
    const body = { jti: randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000), ...(ath && { ath }), ...(nonce && { nonce }) };
    const text = `${part(head)}.${part(body)}`;
    return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  return async (input, options = {}) => {
    const url = String(input);
    if (!places.includes(url)) return fetch(input, options);
    const send = () => {
      const headers = new Headers(options.headers);
      const token = /^Bearer (.*)$/.exec(headers.get('authorization') ?? '')?.[1];
      if (token) headers.set('authorization', `DPoP ${token}`);
      headers.set('dpop', proof(options.method ?? 'GET', url, token, nonces.get(url)));
      return fetch(input, { ...options, headers });
    };
    const first = await send();
    const nonce = first.headers.get('dpop-nonce');
    if (!nonce) return first;
    nonces.set(url, nonce);
    return first.status === 401 || first.status === 400 ? send() : first;
  };
}
