// Proofs of possession in the form of RFC 9449, with `bd`, the hash of the body, where a device asks for something.
import { encode, hash, utf8 } from './bytes.js';
import { jti, jws } from './keys.js';

/**
 * One proof for one request. `htu` is the address without query and fragment. With a nonce the server ignores `iat`, so a
 * wrong clock on this side does no harm.
 */
export async function proof(key, { method, url, nonce, body, bound = false, ath, now_s = Math.floor(Date.now() / 1000) }) {
  const target = new URL(url);
  const claims = { jti: jti(), htm: method, htu: target.origin + target.pathname, iat: now_s };
  if (nonce) claims.nonce = nonce;
  if (bound) claims.bd = encode(await hash(utf8(body ?? '')));
  if (ath) claims.ath = ath;
  return jws(key, { typ: 'dpop+jwt', jwk: key.jwk }, claims);
}
