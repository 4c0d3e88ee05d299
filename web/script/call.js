// Asking the server. Every answer is a value, a `Refusal` (the server said no, with a code) or an `Unreachable`.
import { proof } from './dpop.js';

/** The server said no. `code` is stable; `ref` is what a help desk wants to hear; `say` is a policy's sentence for people. */
export class Refusal extends Error {
  constructor(status, body, retry_after_s) {
    super(`${status} ${body.code ?? 'unknown'}`);
    this.status = status;
    this.code = body.code ?? (status === 429 ? 'too_many' : status >= 500 ? 'unavailable' : 'unknown');
    this.ref = body.ref ?? '';
    this.say = body.say ?? '';
    this.left = body.left;
    this.body = body;
    this.retry_after_s = retry_after_s;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

let nonce = globalThis.document?.body?.dataset.nonce ?? '';

const refusal = async (answer) => {
  const body = await answer.json().catch(() => ({}));
  const after = Number(answer.headers.get('Retry-After'));
  return new Refusal(answer.status, body ?? {}, Number.isFinite(after) && after > 0 ? after : undefined);
};

async function once(method, path, { json, key, bound, authorization, keepalive, signal }) {
  // What proves something itself is made anew with every nonce.
  const said = typeof json === 'function' ? await json(nonce) : json;
  const body = said === undefined ? undefined : JSON.stringify(said);
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (authorization) headers.Authorization = authorization;
  if (key) headers.DPoP = await proof(key, { method, url: new URL(path, location.origin), nonce, body, bound });
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, keepalive, signal, cache: 'no-store', credentials: 'same-origin' });
  } catch (fault) {
    if (fault?.name === 'AbortError') throw fault;
    throw new Unreachable('no answer', { cause: fault });
  }
  nonce = answer.headers.get('DPoP-Nonce') ?? nonce;
  return answer;
}

/** One request; a stale nonce is renewed once, in silence. The answer's JSON, or null where there is none. */
export async function call(method, path, options = {}) {
  let answer = await once(method, path, options);
  if (!answer.ok) {
    let refused = await refusal(answer);
    if (refused.code === 'use_dpop_nonce') {
      answer = await once(method, path, options);
      if (answer.ok) return value(answer);
      refused = await refusal(answer);
    }
    throw refused;
  }
  return value(answer);
}

const value = async (answer) => {
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch (fault) {
    throw new Unreachable('the answer broke off', { cause: fault });
  }
};

/** A request that can still be sent when a page goes: proved now, sent later without waiting for anything. */
export async function prepared(method, path, { key }) {
  const DPoP = await proof(key, { method, url: new URL(path, location.origin), nonce });
  const headers = { 'Content-Type': 'application/json', DPoP };
  return (json) =>
    fetch(path, { method, headers, body: JSON.stringify(json), keepalive: true, cache: 'no-store', credentials: 'same-origin' }).catch(() => {});
}

/** A request whose answer is read as it arrives */
export async function open(path, { authorization, signal }) {
  const answer = await once('GET', path, { authorization, signal });
  if (!answer.ok) throw await refusal(answer);
  return answer.body;
}
