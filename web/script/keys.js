// Keys that script can use and cannot take away: P-256, not extractable.
import { encode, hash, utf8, view } from './bytes.js';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' };
const ES256 = { name: 'ECDSA', hash: 'SHA-256' };

/** A fresh key pair with what the other side calls it: `{ pair, jwk, thumbprint }` */
export async function freshKey() {
  const pair = await crypto.subtle.generateKey(P256, false, ['sign', 'verify']);
  const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  const jwk = { crv, kty, x, y };
  return { pair, jwk, thumbprint: await thumbprint(jwk) };
}

/** RFC 7638: SHA-256 over the required members in lexicographic order */
export const thumbprint = async ({ crv, kty, x, y }) => encode(await hash(utf8(JSON.stringify({ crv, kty, x, y }))));

/** JWS compact form, ES256 */
export async function jws(key, header, claims) {
  const part = (value) => encode(utf8(JSON.stringify(value)));
  const text = `${part({ alg: 'ES256', ...header })}.${part(claims)}`;
  return `${text}.${encode(view(await crypto.subtle.sign(ES256, key.pair.privateKey, utf8(text))))}`;
}

/** An identifier nobody used before */
export const jti = () => encode(crypto.getRandomValues(new Uint8Array(16)));
