// The tile: symbol, tally, and the words "Live" and "Renews by itself". A frame replaces one path in one paint.
import { FRAMES } from './frame.js';
import { el, icon, svg, Tally } from './dom.js';
import { modules, moduleWidth, path, plan } from './qr.js';
import { say } from './say.js';

export class CodeTile {
  #path = svg('path', { d: '' });
  #svg = svg('svg', { role: 'img' }, this.#path);
  #symbol = el('div.symbol', {}, this.#svg);
  #tally = new Tally(FRAMES);
  #live = el('span.live', {}, say('code.live'));
  #lost = el('span.lost', { hidden: true }, icon('offline', 18), say('code.reconnecting'));
  #under = el('div.under', {}, this.#tally.node, el('div.words', {}, this.#live, this.#lost, el('span.quiet', {}, say('code.renews'))));
  #plan;
  #count = 33;

  constructor() {
    this.#svg.setAttribute('aria-label', say('code.description'));
    this.node = el('div.tile', {}, this.#symbol, this.#under);
    this.#sizes = new ResizeObserver(() => this.#fit());
    this.#sizes.observe(this.#symbol);
  }

  #sizes;

  /** A ceremony begins: choose version and mask afresh at its first frame. */
  renew() {
    this.#plan = undefined;
  }

  /** What `draw` needs, computed before its time has come */
  prepare(text) {
    this.#plan ??= plan(text);
    const grid = modules(text, this.#plan);
    return { count: grid.length, d: path(grid) };
  }

  /** One attribute changes: one paint. */
  draw({ count, d }) {
    if (count !== this.#count || !this.#svg.hasAttribute('viewBox')) {
      this.#count = count;
      this.#svg.setAttribute('viewBox', `0 0 ${count} ${count}`);
      this.#fit();
    }
    this.#path.setAttribute('d', d);
  }

  #fit() {
    const width = this.#symbol.clientWidth;
    if (!width) return;
    const side = String(moduleWidth(width, this.#count, globalThis.devicePixelRatio || 1) * this.#count);
    this.#svg.setAttribute('width', side);
    this.#svg.setAttribute('height', side);
    this.#under.style.setProperty('--symbol', `${side}px`);
    this.#under.style.setProperty('inline-size', `${side}px`);
  }

  time(share) {
    this.#tally.set(share);
  }

  /** Is the line to the server up? */
  link(up) {
    this.#live.hidden = !up;
    this.#lost.hidden = up;
  }

  /** Nothing to scan */
  blank() {
    this.#path.setAttribute('d', '');
  }
}
