// A page of a session says that it is there, as long as somebody can see it: a screen that dies takes its session with it.
// A page that goes, or is covered, says so; from then on its silence means nothing.
import { call, prepared, Refusal } from './call.js';

const PATH = '/session/beat';
const FIRST_MS = 15_000;

/** Speaks with the terminal's key. `over` when the session has ended. */
export function beat(key, { over }) {
  let every_ms = FIRST_MS;
  let timer;
  let farewell;

  async function here() {
    clearTimeout(timer);
    if (document.visibilityState !== 'visible') return;
    try {
      const taken = await call('POST', PATH, { json: { visible: true }, key });
      every_ms = taken.every_s * 1000;
      farewell = await prepared('POST', PATH, { key });
      timer = setTimeout(here, every_ms);
    } catch (fault) {
      if (fault instanceof Refusal && fault.code === 'no_session') {
        over();
        return;
      }
      // A lost word is said again well before the next is due.
      timer = setTimeout(here, every_ms / 4);
    }
  }

  function gone() {
    clearTimeout(timer);
    farewell?.({ visible: false });
    farewell = undefined;
  }

  document.addEventListener('visibilitychange', () => (document.visibilityState === 'visible' ? here() : gone()));
  addEventListener('pagehide', gone);
  return here();
}
