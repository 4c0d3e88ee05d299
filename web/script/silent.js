// Nobody may be asked (`prompt=none`): the session's key answers, or the application hears that somebody must sign in.
import { call } from './call.js';
import { go } from './go.js';
import * as shelf from './shelf.js';

const { flow } = document.body.dataset;
const at = (path) => `/sign-in/${encodeURIComponent(flow)}/${path}`;

async function answer() {
  const kept = await shelf.terminal().catch(() => undefined);
  if (kept) {
    const resumed = await call('POST', at('resume'), { json: {}, key: kept.key }).catch(() => undefined);
    if (resumed?.next) return resumed.next;
  }
  return (await call('POST', at('cancel'), { json: {} })).next;
}

answer().then(go);
