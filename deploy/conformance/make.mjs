// Makes what the OpenID Foundation's conformance suite and Countersign need to know of each other: two clients with keys for each
// profile, and the suite's own configuration of each plan. Keys and secrets are new each time; nothing of them is in the tree.
//
//   node deploy/conformance/make.mjs --issuer https://id.example.org --suite https://localhost.emobix.co.uk:8443 --to FOLDER
//
// writes FOLDER/countersign.toml and FOLDER/PLAN.json. docs/conformance.md says what to do with them. Such a server is for tests alone:
// its clients may do what `countersign config check` warns of.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The name of this server's tests in the suite's addresses */
export const ALIAS = 'countersign';

const basic = (profile, auth) => ({ profile, auth, scope: 'openid profile', secret: randomBytes(24).toString('hex') });
function keyed(profile) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: randomBytes(8).toString('hex') };
  return { profile, auth: 'private_key_jwt', scope: 'openid profile', key };
}

/** What the CIBA plan's clients are registered with: the suite sends no DPoP proof, and nobody is there to type digits. */
const CIBA = ['require_signed_request_object = true', 'refresh = "always"', 'far = "unproven"', 'danger_allow_unbound_collector = true', 'danger_allow_bearer = true'];

/** Lines of `countersign.toml` that register a client */
function registered({ id, profile, auth, secret, key }, base) {
  // The suite lets its second client answer at an address with a query.
  const lines = [
    `id = "${id}"`,
    `name = "Conformance suite, ${id}"`,
    `redirect_uris = ["${base}/callback", "${base}/callback?dummy1=lorem&dummy2=ipsum"]`,
    `scopes = ["profile"]`,
    `auth = "${auth}"`,
  ];
  if (secret) lines.push(`secret_hash = "${createHash('sha256').update(secret).digest('base64url')}"`);
  if (key) lines.push(`keys = [{ kty = "EC", crv = "P-256", x = "${key.x}", y = "${key.y}" }]`);
  if (profile === 'basic') {
    // What the basic plan asks for and this server otherwise refuses: requests without PKCE, without `nonce`, tokens without a key.
    lines.push('danger_allow_no_pkce = true', 'danger_allow_no_nonce = true', 'danger_allow_bearer = true');
    lines.push('id_token_alg = "RS256"', 'refresh = "offline_access"');
    lines.push(`post_logout_redirect_uris = ["${base}/post_logout_redirect"]`, `backchannel_logout_uri = "${base}/backchannel_logout"`);
  } else if (profile === 'poll' || profile === 'ping') {
    lines.push(...CIBA, profile === 'ping' ? `ciba = { notification_endpoint = "${base}/ciba-notification-endpoint" }` : 'ciba = {}');
  } else {
    lines.push('profile = "fapi2"', 'refresh = "always"');
    if (profile === 'signed') lines.push('require_signed_request_object = true');
  }
  return `[[clients]]\n${lines.join('\n')}\n`;
}

/** As the suite wants to know a client */
function told({ id, scope, secret, key }) {
  if (secret) return { client_id: id, client_secret: secret, scope };
  return { client_id: id, scope, jwks: { keys: [key] }, dpop_signing_alg: 'ES256' };
}

/** Where `countersign-approvals` answers, unless it is told another port */
const approvals = 'http://localhost:7330/test-endpoints/answer?auth_req_id={auth_req_id}&action={action}';

/** `{ toml, plans, clients }` for a server at `issuer` and a suite at `suite` */
export function make({ issuer, suite }) {
  const base = `${suite}/test/a/${ALIAS}`;
  const clients = {
    basic: basic('basic', 'client_secret_basic'),
    'basic-2': basic('basic', 'client_secret_basic'),
    'basic-post': basic('basic', 'client_secret_post'),
    fapi: keyed('fapi'),
    'fapi-2': keyed('fapi'),
    signed: keyed('signed'),
    'signed-2': keyed('signed'),
    poll: keyed('poll'),
    'poll-2': keyed('poll'),
    ping: keyed('ping'),
    'ping-2': keyed('ping'),
  };
  for (const [id, client] of Object.entries(clients)) client.id = id;
  const plan = (description, more) => ({ alias: ALIAS, description, server: { discoveryUrl: `${issuer}/.well-known/openid-configuration` }, ...more });
  const pair = (one) => ({ client: told(clients[one]), client2: told(clients[`${one}-2`]) });
  // The protected resource is our own: whose token it is, and whether its key came along.
  const resource = { resourceUrl: `${issuer}/userinfo` };
  const post = { client_secret_post: told(clients['basic-post']) };
  // Who is asked, and where the suite has the request answered in their place (docs/conformance.md).
  const asked = (one) => {
    const hint = { hint_type: 'login_hint', hint_value: 'admin' };
    const { client, client2 } = pair(one);
    return { client: { ...client, ...hint }, client2: { ...client2, ...hint }, resource, automated_ciba_approval_url: approvals };
  };
  return {
    clients,
    toml: Object.values(clients).map((client) => registered(client, base)).join('\n'),
    plans: {
      'oidcc-basic-certification-test-plan': plan('Countersign, Basic OP', { ...pair('basic'), ...post }),
      'oidcc-config-certification-test-plan': plan('Countersign, Config OP', {}),
      'oidcc-rp-initiated-logout-certification-test-plan': plan('Countersign, RP-Initiated OP', pair('basic')),
      'oidcc-backchannel-rp-initiated-logout-certification-test-plan': plan('Countersign, Back-Channel OP', pair('basic')),
      'fapi2-security-profile-final-test-plan': plan('Countersign, FAPI2SP OP', { ...pair('fapi'), resource }),
      'fapi2-message-signing-final-test-plan': plan('Countersign, FAPI2MS OP', { ...pair('signed'), resource }),
      'fapi-ciba-id1-test-plan-poll': plan('Countersign, FAPI-CIBA OP, poll', asked('poll')),
      'fapi-ciba-id1-test-plan-ping': plan('Countersign, FAPI-CIBA OP, ping', asked('ping')),
    },
  };
}

/** The top of `countersign.toml`: what a server for these plans is set up with */
export const settings = (issuer) => `# Made by deploy/conformance/make.mjs, for tests alone.
issuer = "${issuer}"
listen = "0.0.0.0:443"
# The suite takes any certificate; the browser that signs in must trust this one (docs/real-phone.md makes them).
tls = { certificate = "fullchain.pem", key = "key.pem" }
database = "sqlite:conformance.db"
seal_key_file = "conformance.seal"
organisation = "Conformance"
# The suite runs on this machine, and is told of log-outs there.
danger_allow_loopback_egress = true
`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { issuer: { type: 'string' }, suite: { type: 'string' }, to: { type: 'string' } } });
  const { issuer, suite = 'https://localhost.emobix.co.uk:8443', to } = values;
  if (!issuer || !to) {
    console.error('usage: make.mjs --issuer https://NAME [--suite https://NAME:PORT] --to FOLDER');
    process.exit(2);
  }
  const { toml, plans } = make({ issuer, suite });
  mkdirSync(to, { recursive: true, mode: 0o700 });
  writeFileSync(join(to, 'countersign.toml'), `${settings(issuer)}\n${toml}`, { mode: 0o600 });
  for (const [name, plan] of Object.entries(plans)) writeFileSync(join(to, `${name}.json`), `${JSON.stringify(plan, null, 2)}\n`, { mode: 0o600 });
}
