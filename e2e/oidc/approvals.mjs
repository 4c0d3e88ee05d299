// What a conformance suite needs for CIBA: somebody who answers at an address, with the keys of the software phone beside the server as
// everybody has it. Needs what `signin.mjs` needs, with API_SECRET, and
//   APPROVALS  the program `countersign-approvals`, built with the feature `test-endpoints`
import * as oidc from 'openid-client';
import { spawn } from 'node:child_process';
import { check, discover, finish, refusal, settings } from './kit.mjs';

const { APPROVALS, STATE, API_SECRET } = settings('ISSUER', 'STATE', 'API_SECRET', 'APPROVALS');

async function answers() {
  const program = spawn(APPROVALS, ['--port', '0'], { env: { ...process.env, COUNTERSIGN_DEVICE_STATE: STATE }, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const address = String(await new Promise((resolve) => program.stdout.once('data', resolve))).trim();
    const config = await discover('suite', {}, oidc.ClientSecretBasic(API_SECRET));
    const ask = (n) => oidc.initiateBackchannelAuthentication(config, { scope: 'openid', login_hint: 'admin', binding_message: `A${n}` });
    const act = async (asked, action) => (await fetch(address.replace('{auth_req_id}', asked.auth_req_id).replace('{action}', action))).status;
    const collect = (asked) => oidc.pollBackchannelAuthenticationGrant(config, { ...asked, interval: 0 });
    const first = await ask(1);
    check('an action that there is not', (await act(first, 'maybe')) === 400);
    check('it allows', (await act(first, 'allow')) === 200);
    const tokens = await collect(first);
    check('what was allowed is collected, and earned no class', tokens.claims().acr === '0', tokens.claims());
    const second = await ask(2);
    check('it denies', (await act(second, 'deny')) === 200);
    const heard = await refusal(collect(second));
    check('and that is heard', heard === 'access_denied', heard);
    check('what is over is over', (await act(second, 'allow')) === 409);
  } finally {
    program.kill();
  }
}

await finish(answers);
