// WebAuthn between the server's JSON and the browser's buffers.
import { decode, encode, view } from './bytes.js';

/** Can this browser use passkeys at all? */
export const available = () => typeof globalThis.PublicKeyCredential === 'function' && !!navigator.credentials?.get;

/** The person closed the dialogue, or nothing fitted. */
export class NotUsed extends Error {}

const described = (list) => (list ?? []).map((one) => ({ ...one, id: decode(one.id) }));
const inner = (options) => options.publicKey ?? options;

/** Request options as WebAuthn names them, out of that form or of our shorter one */
function request(options) {
  const json = inner(options);
  if (json.rp_id === undefined) return json;
  const { challenge, rp_id, allow, user_verification, hints, timeout_ms } = json;
  return {
    challenge,
    rpId: rp_id,
    allowCredentials: (allow ?? []).map((id) => ({ type: 'public-key', id })),
    userVerification: user_verification ?? 'required',
    ...(hints && { hints }),
    ...(timeout_ms && { timeout: timeout_ms }),
  };
}

async function ask(work) {
  try {
    const credential = await work();
    if (!credential) throw new NotUsed('no credential');
    return credential;
  } catch (fault) {
    if (fault instanceof NotUsed) throw fault;
    throw new NotUsed(fault?.name ?? 'failed', { cause: fault });
  }
}

/** Proves a passkey: `{ credential_id, authenticator_data, client_data_json, signature, user_handle? }`, base64url */
export async function assertion(options, signal) {
  const json = request(options);
  const publicKey = { ...json, challenge: decode(json.challenge) };
  if (json.allowCredentials) publicKey.allowCredentials = described(json.allowCredentials);
  const credential = await ask(() => navigator.credentials.get({ publicKey, signal }));
  const { authenticatorData, clientDataJSON, signature, userHandle } = credential.response;
  const proof = {
    credential_id: encode(view(credential.rawId)),
    authenticator_data: encode(view(authenticatorData)),
    client_data_json: encode(view(clientDataJSON)),
    signature: encode(view(signature)),
  };
  if (userHandle) proof.user_handle = encode(view(userHandle));
  return proof;
}

/** Makes a passkey: `{ id, client_data_json, attestation_object, transports }`, base64url */
export async function creation(options) {
  const json = inner(options);
  const publicKey = {
    ...json,
    challenge: decode(json.challenge),
    user: { ...json.user, id: decode(json.user.id) },
    excludeCredentials: described(json.excludeCredentials),
  };
  const credential = await ask(() => navigator.credentials.create({ publicKey }));
  return {
    id: encode(view(credential.rawId)),
    client_data_json: encode(view(credential.response.clientDataJSON)),
    attestation_object: encode(view(credential.response.attestationObject)),
    transports: credential.response.getTransports?.() ?? [],
  };
}
