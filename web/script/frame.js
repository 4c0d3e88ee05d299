// The live frame: what the code on screen says during three seconds, and the clock that decides which three seconds.
import { concat, decode, encode, integer, mac } from './bytes.js';

export const FRAME_MS = 3_000;
/** Strokes in the tally: frames in the two minutes for which a code can be scanned */
export const FRAMES = 40;

const FRAGMENT = /^[A-Za-z0-9_-]{35}$/;

/** base64url(h ‖ i ‖ mac): 16 + 2 + 8 bytes, 35 characters */
export async function fragment(key, handle, index) {
  const i = integer(index, 2);
  const tag = await mac(key, 'frame', handle, i);
  return encode(concat(handle, i, tag.slice(0, 8)));
}

/** Where the two kinds of code lead: a screen's, which phones scan, and a phone's badge, which registered screens read */
export const SCREEN = '/q#';
export const BADGE = '/b#';

/** What the code carries. The fragment never reaches a server, log, preview or Referer. */
export const payload = (origin, text, kind = SCREEN) => `${origin}${kind}${text}`;

/** Reads a fragment: only this exact form parses; anything else is null. */
export function parse(text) {
  if (!FRAGMENT.test(text)) return null;
  try {
    const bytes = decode(text);
    return { text, handle: encode(bytes.slice(0, 16)), index: bytes[16] * 256 + bytes[17] };
  } catch {
    return null;
  }
}

/** Reads what a camera saw: a frame of this very origin and kind, or null. The scanner acts on nothing else. */
export function seen(text, origin, kind = SCREEN) {
  const start = `${origin}${kind}`;
  return text.startsWith(start) ? parse(text.slice(start.length)) : null;
}

/** Do two frames make a pair: the same code, seen alive one or two steps apart? */
export const isPair = (one, two) => one.handle === two.handle && two.index > one.index && two.index - one.index <= 2;

/**
 * Time since opening by the server's clock: the page's monotonic clock plus the largest offset heard so far. A message can
 * only be late, never early, so the largest offset is the truest. No wall clock is asked.
 */
export class Clock {
  #offset = -Infinity;
  #now;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** The server said: this many milliseconds since opening. */
  hear(t_ms) {
    if (Number.isFinite(t_ms)) this.#offset = Math.max(this.#offset, t_ms - this.#now());
  }

  get t_ms() {
    return Math.max(0, this.#now() + (this.#offset === -Infinity ? 0 : this.#offset));
  }

  get index() {
    return Math.floor(this.t_ms / FRAME_MS);
  }

  /** Milliseconds until the next frame begins */
  get next_ms() {
    return FRAME_MS - (this.t_ms % FRAME_MS);
  }
}

/** A moment in the future, told as a remainder and kept by the monotonic clock */
export class Deadline {
  #at;
  #now;

  constructor(left_ms, now = () => performance.now()) {
    this.#now = now;
    this.#at = now() + left_ms;
  }

  get left_ms() {
    return Math.max(0, this.#at - this.#now());
  }
}
