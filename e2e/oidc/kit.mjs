// What the scripts share: their settings, the count of what held, and the person, played by `countersign-device`.
import * as oidc from 'openid-client';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { check, count, fell } from '../count.mjs';

/** The variables of these names; ends the script if one is missing. */
export function settings(...names) {
  for (const name of names) {
    if (!process.env[name]) {
      console.error(`\`${name}\` is not set`);
      process.exit(2);
    }
  }
  return process.env;
}

export { check };

/** Runs each part, whatever became of the one before; says how many checks held, and ends. */
export async function finish(...parts) {
  for (const part of parts) {
    await part().catch(fell);
  }
  count();
  process.exit();
}

const run = promisify(execFile);
async function play(...words) {
  const { PLAY, STATE } = process.env;
  const env = { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE };
  const { stdout } = await run(PLAY, ['play', ...words], { env, timeout: 180_000 });
  return stdout.trim().split('\n').at(-1);
}

/** Lets the person sign in at `url`; where the browser is sent in the end. */
export const signsIn = async (url, ...flags) => new URL(await play('authorize', String(url), ...flags));
/** Lets the person type a code that another screen shows, and decide. */
export const types = (code, ...flags) => play('code', code, ...flags);
/** Lets the person take what is offered to them, and decide. */
export const answers = (...flags) => play('offered', ...flags);
/** Lets the browser kept in `browser` sign out at `url`; where the page leads. */
export const signsOut = (url, browser) => play('sign-out', String(url), '--browser', browser);

export const payload = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));
export const header = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url'));
/** How a promise fails, in the words of OAuth where there are any. */
export const refusal = async (promise) => promise.then(() => 'nothing', (e) => e.error ?? e.code ?? e.name);

/** Only a server on this machine may go without TLS. */
export const insecure = () => new URL(process.env.ISSUER).protocol === 'http:';

/** What openid-client knows of the server, as `client`. */
export function discover(client, metadata, authentication) {
  const execute = insecure() ? [oidc.allowInsecureRequests] : [];
  return oidc.discovery(new URL(process.env.ISSUER), client, metadata, authentication, { execute });
}

/** A request with PKCE, and what its answer is checked against. */
export async function request(more) {
  const verifier = oidc.randomPKCECodeVerifier();
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
  const challenge = await oidc.calculatePKCECodeChallenge(verifier);
  return {
    asked: { scope: 'openid profile', code_challenge: challenge, code_challenge_method: 'S256', state, nonce, ...more },
    checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
  };
}

/** Asks about tokens as the interface that they are for: `(token, signed) => answer`. */
export function introspection(server, secret) {
  const caller = (metadata) => {
    const config = new oidc.Configuration(server, 'api', metadata, oidc.ClientSecretBasic(secret));
    if (insecure()) oidc.allowInsecureRequests(config);
    return config;
  };
  const [plain, signed] = [caller({}), caller({ introspection_signed_response_alg: 'ES256' })];
  return (token, jwt = false) => oidc.tokenIntrospection(jwt ? signed : plain, token);
}

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A proof of possession (RFC 9449 §4.2) for a request that the library sends without one. */
async function proof(pair, htu, nonce) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  const head = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } };
  const body = { jti: randomUUID(), htm: 'POST', htu, iat: Math.floor(Date.now() / 1000), nonce };
  const text = `${part(head)}.${part(body)}`;
  const made = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, Buffer.from(text));
  return `${text}.${Buffer.from(made).toString('base64url')}`;
}

/** Shows the key where something is begun: at the endpoint that ends in `place`. */
export const showing = (pair, place) => async (url, options) => {
  if (!String(url).endsWith(place)) return fetch(url, options);
  const send = async (nonce) => fetch(url, { ...options, headers: { ...Object.fromEntries(new Headers(options.headers)), DPoP: await proof(pair, url, nonce) } });
  const first = await send();
  const nonce = first.headers.get('dpop-nonce');
  return first.ok || !nonce ? first : send(nonce);
};
