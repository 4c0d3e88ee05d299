// What is approved: read from the very bytes that are signed, and only when they fit this device, this server, this ceremony.
import { concat, decode, encode, hash, tagged } from './bytes.js';
import { parse } from './jcs.js';
import { jti, jws } from './keys.js';

const BYTES = 8_192;

// Every member that there is. What nobody would show must not be signed, so a statement with another one is none.
const text = true;
const MEMBERS = {
  v: text, iss: text, cid: text, txn: text, purpose: text, boundary: text, start: text, device: text, dk: text, sub: text,
  channel: text, near: text, n: text, iat: text, exp: text, tpl: text, locale: text,
  client: { id: text, name: text, redirect_host: text },
  // `asked` is shown by its rows, and is what the client asked for.
  request: { hash: text, scopes: text, message: text, details: { type: text, title: text, rows: { label: text, value: text }, asked: text } },
  terminal: { jkt: text, kind: text, agent: text, opened_at: text, plate: { name: text, place: text, class: text, attested: text } },
  confirm: { directions: text, digits: text },
  rights: { scopes: text, session_s: text, clients: text, timed: { scope: text, for_s: text } },
};

function known(value, members) {
  if (members === text) return true;
  if (Array.isArray(value)) return value.every((one) => known(one, members));
  return Object.entries(value).every(([name, inner]) => Object.hasOwn(members, name) && known(inner, members[name]));
}

/** What the server sent does not fit together; nothing may be signed. */
export class Mismatch extends Error {}

/** SD, the digest of a statement */
export const digest = (bytes) => tagged('countersign/statement/1', bytes);

/** The passkey's challenge for a statement's digest */
export const challenge = (sd) => tagged('countersign/approve/1', sd);

/**
 * Reads and checks a statement as the server sent it: canonical bytes, this origin, this ceremony, this device and its key,
 * and a passkey challenge that was made from these bytes and nothing else.
 */
export async function read({ statement, cid, assertion }, device, origin) {
  let bytes;
  let said;
  let server;
  try {
    bytes = decode(statement);
    if (bytes.length > BYTES) throw new TypeError('too long');
    said = parse(bytes);
    if (!known(said, MEMBERS)) throw new TypeError('an unknown member');
    server = new URL(said.iss).origin;
  } catch (fault) {
    throw new Mismatch('not a statement', { cause: fault });
  }
  const sd = await digest(bytes);
  const wanted = encode(await challenge(sd));
  const fits = {
    version: said.v === 1,
    server: server === origin,
    ceremony: said.cid === cid,
    device: said.device === device.id,
    key: said.dk === device.key.thumbprint,
    challenge: !assertion || assertion.challenge === wanted,
  };
  const wrong = Object.keys(fits).filter((name) => !fits[name]);
  if (wrong.length) throw new Mismatch(`another ${wrong.join(', ')}`);
  return { said, sd: encode(sd), challenge: wanted, cid };
}

/** H(authenticatorData ‖ H(clientDataJSON) ‖ signature): the decision names the assertion it belongs to. */
export async function assertionHash({ authenticator_data, client_data_json, signature }) {
  const client = await hash(decode(client_data_json));
  return encode(await hash(concat(decode(authenticator_data), client, decode(signature))));
}

/** The decision: `approve` (with the assertion), `refuse` or `not_me` */
export async function decide(verb, { said, sd, cid }, device, assertion) {
  const claims = { iss: device.id, aud: said.iss, cid, sd, decision: verb, jti: jti() };
  if (assertion) claims.wa = await assertionHash(assertion);
  const approval = await jws(device.key, { typ: 'cs-approval+jws', kid: device.key.thumbprint }, claims);
  return assertion ? { approval, assertion } : { approval };
}

/** "No" or "not me" to a request that this device has not taken, or could not: it has no statement to sign over. */
export const refuseUnseen = async (verb, cid, device, issuer) =>
  decide(verb, { said: { iss: issuer }, sd: encode(await digest(new Uint8Array())), cid }, device);
