// Bytes as this protocol writes them: base64url without padding, UTF-8, SHA-256, and the one MAC of the ceremony.

const CHARS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** base64url without padding */
export function encode(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const word = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += CHARS[word >> 18] + CHARS[(word >> 12) & 63];
    if (left > 1) text += CHARS[(word >> 6) & 63];
    if (left > 2) text += CHARS[word & 63];
  }
  return text;
}

/** Strict: no padding, no foreign characters, no stray bits at the end. Throws on anything else. */
export function decode(text) {
  if (typeof text !== 'string' || text.length % 4 === 1) throw new TypeError('not base64url');
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let word = 0;
  let bits = 0;
  let at = 0;
  for (const char of text) {
    const value = CHARS.indexOf(char);
    if (value < 0) throw new TypeError('not base64url');
    word = ((word << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = (word >> bits) & 0xff;
      at += 1;
    }
  }
  if ((word & ((1 << bits) - 1)) !== 0) throw new TypeError('not base64url');
  return bytes;
}

/** Any buffer or view as a Uint8Array over the same bytes */
export function view(buffer) {
  return buffer instanceof Uint8Array ? buffer : new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
}

export const utf8 = (text) => new TextEncoder().encode(text);

/** Parts one after the other */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Equal bytes? Nothing secret is compared in a page, so this need not run in constant time. */
export const equal = (one, two) => one.length === two.length && one.every((byte, at) => byte === two[at]);

/** Big-endian integer of `size` bytes */
export function integer(value, size) {
  const bytes = new Uint8Array(size);
  for (let at = size - 1, rest = value; at >= 0; at -= 1, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

/** H: SHA-256 */
export const hash = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));

/** H over `tag ‖ 00 ‖ bytes`: a hash that can mean one thing only */
export const tagged = (tag, bytes) => hash(concat(utf8(tag), Uint8Array.of(0), bytes));

/** Imports key bytes for M; the caller can then forget the bytes. */
export const macKey = (bytes) => crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);

/** M(k, tag, …): HMAC-SHA-256 over tag ‖ 00 ‖ each part with a 4-byte length before it */
export async function mac(key, tag, ...parts) {
  const framed = parts.flatMap((part) => [integer(part.length, 4), part]);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, concat(utf8(tag), Uint8Array.of(0), ...framed)));
}
