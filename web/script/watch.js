// How the session of this screen stands, as soon as it stands otherwise: one long question after another.
import { call, Refusal } from './call.js';
import { pause } from './pause.js';

/** The words for a session that does not simply go on */
export const RESTS = { limit: 'session.limit', step_up: 'session.step_up', lock: 'session.lock' };

const PAUSE_MS = 3_000;

/** Tells each new word: `good`, `limit`, `step_up`, `lock`; `ended` is the last. */
export async function watch(tell) {
  let since = '';
  for (;;) {
    try {
      const { standing } = await call('GET', `/session/watch?since=${encodeURIComponent(since)}`);
      if (standing !== since) tell(standing);
      if (standing === 'ended') return;
      since = standing;
    } catch (fault) {
      if (fault instanceof Refusal && fault.code === 'no_session') {
        tell('ended');
        return;
      }
      await pause(PAUSE_MS);
    }
  }
}
