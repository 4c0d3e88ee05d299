// One ceremony as the waiting screen sees it: open, show frames, watch, confirm, redeem or abandon. No page in here.
//
// 1. A fresh key that script cannot export opens it; the server answers with what the frames are made of.
// 2. Frames come out of the channel key and the server's clock alone.
// 3. Watching, confirming and abandoning are proved by the wait key; redeeming by the terminal key, once.
import { call, open as openStream, Refusal } from './call.js';
import { decode, encode, mac, macKey } from './bytes.js';
import { Clock, Deadline, fragment, FRAME_MS, FRAMES, payload } from './frame.js';
import { freshKey } from './keys.js';
import { events } from './stream.js';

const PAUSES_MS = [300, 1_000, 2_000, 4_000, 8_000];
/** A stream that says nothing for so long is taken for dead. */
const SILENCE_MS = 45_000;

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });

export class Ceremony {
  #handle;
  #channel;
  #wait;
  #stop = new AbortController();

  /** Opens one. `body` names the flow or the purpose, and the ceremony it replaces. */
  static async open(body, key = undefined) {
    const ceremony = new Ceremony();
    ceremony.key = key ?? (await freshKey());
    const asked = performance.now();
    const reply = await call('POST', '/ceremonies', { json: body, key: ceremony.key });
    ceremony.took_ms = performance.now() - asked;
    ceremony.cid = reply.cid;
    ceremony.userCode = reply.user_code ?? '';
    ceremony.clock = new Clock();
    ceremony.clock.hear(reply.t_ms ?? 0);
    ceremony.whole_ms = (reply.t_ms ?? 0) + reply.left_ms;
    ceremony.deadline = new Deadline(reply.left_ms);
    ceremony.state = 'opened';
    ceremony.#handle = decode(reply.handle);
    ceremony.#channel = await macKey(decode(reply.ck));
    ceremony.#wait = encode(await mac(ceremony.#channel, 'wait'));
    return ceremony;
  }

  /** Left for scanning: two minutes of frames, even where the typed code lives longer */
  get scan_left_ms() {
    return Math.max(0, Math.min(this.deadline.left_ms, FRAMES * FRAME_MS - this.clock.t_ms));
  }

  /** What the code on screen says during frame `index` */
  async frame(index) {
    return payload(location.origin, await fragment(this.#channel, this.#handle, index));
  }

  get #authorization() {
    return `Ceremony ${this.#wait}`;
  }

  get #path() {
    return `/ceremonies/${encodeURIComponent(this.cid)}`;
  }

  /**
   * Tells `onState` every new state, `onLink(false)` when the line is lost and `onLink(true)` when it is back, until the end.
   * Reads the stream; where streams do not get through, asks and waits instead.
   */
  async watch({ onState, onLink, onGone }) {
    const { signal } = this.#stop;
    const hear = (state) => {
      if (signal.aborted || !state?.state) return;
      this.clock.hear(state.t_ms);
      if (Number.isFinite(state.left_ms)) this.deadline = new Deadline(state.left_ms);
      this.state = state.state;
      onState(state);
    };
    let lost = 0;
    let unheard = 0;
    while (!signal.aborted) {
      let heard = false;
      try {
        if (unheard < 2) {
          await this.#stream(signal, (state) => {
            if (!heard) onLink(true);
            heard = true;
            lost = 0;
            unheard = 0;
            hear(state);
          });
          if (!heard) unheard += 1;
        } else {
          const since = encodeURIComponent(this.state);
          hear(await call('GET', `${this.#path}?since=${since}`, { authorization: this.#authorization, signal }));
          onLink(true);
          lost = 0;
          continue;
        }
      } catch (fault) {
        if (signal.aborted) return;
        if (fault instanceof Refusal && (fault.status === 404 || fault.status === 410)) {
          onGone(fault);
          return;
        }
        if (!heard) unheard += 1;
      }
      if (signal.aborted) return;
      onLink(false);
      await pause(PAUSES_MS[Math.min(lost, PAUSES_MS.length - 1)], signal);
      lost += 1;
    }
  }

  async #stream(signal, hear) {
    const broken = new AbortController();
    const give = () => broken.abort();
    signal.addEventListener('abort', give, { once: true });
    let silence = setTimeout(give, SILENCE_MS);
    const awake = () => {
      clearTimeout(silence);
      silence = setTimeout(give, SILENCE_MS);
    };
    try {
      const body = await openStream(`${this.#path}/events`, { authorization: this.#authorization, signal: broken.signal });
      for await (const event of events(body, awake)) {
        if (event.event === 'state') hear(JSON.parse(event.data));
      }
    } finally {
      clearTimeout(silence);
      signal.removeEventListener('abort', give);
    }
  }

  confirm(digits) {
    return call('POST', `${this.#path}/confirm`, { json: { digits }, authorization: this.#authorization });
  }

  /** Takes the result, once. What follows proves the same key. */
  redeem() {
    return call('POST', `${this.#path}/redeem`, { json: {}, authorization: this.#authorization, key: this.key });
  }

  /** The person said: yes, that is my name. */
  continue() {
    return call('POST', `${this.#path}/continue`, { json: {}, authorization: this.#authorization, key: this.key });
  }

  /** Ends it here and on the server; survives the closing of the page. */
  abandon() {
    return this.disown().catch(() => null);
  }

  /** The same where the person must hear it if the server did not: "not me" to a name that it greeted with. */
  disown() {
    this.leave();
    return call('POST', `${this.#path}/abandon`, { json: {}, authorization: this.#authorization, keepalive: true });
  }

  /** Stops watching and says nothing to the server. */
  leave() {
    this.#stop.abort();
  }
}
