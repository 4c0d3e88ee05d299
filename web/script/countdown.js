// A deadline as people see it: strokes and words; said aloud at 60, 30 and 10 seconds.
import { announce, el, Tally } from './dom.js';
import { timeLeft } from './say.js';

const ALOUD_S = [60, 30, 10];

export class Countdown {
  #deadline;
  #whole_ms;
  #tally;
  #told;

  constructor(deadline, whole_ms, { strokes = 40 } = {}) {
    this.#deadline = deadline;
    this.#whole_ms = Math.max(1, whole_ms);
    this.#tally = new Tally(strokes);
    this.tally = this.#tally.node;
    this.words = el('p.small.quiet');
    this.#told = ALOUD_S.filter((seconds) => seconds * 1000 >= deadline.left_ms);
    this.tick();
  }

  /** Draws what is left; call it as often as you like. */
  tick() {
    const left_ms = this.#deadline.left_ms;
    this.#tally.set(left_ms / this.#whole_ms);
    const words = timeLeft(left_ms);
    if (this.words.textContent !== words) this.words.textContent = words;
    const due = ALOUD_S.find((seconds) => left_ms <= seconds * 1000 && !this.#told.includes(seconds));
    if (due !== undefined && left_ms > 0) {
      this.#told.push(...ALOUD_S.filter((seconds) => seconds >= due));
      announce(words);
    }
    return left_ms;
  }

  /** Ticks until its words leave the page. */
  run() {
    const timer = setInterval(() => (this.words.isConnected || this.tally.isConnected ? this.tick() : clearInterval(timer)), 250);
    return this;
  }
}
