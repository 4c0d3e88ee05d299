// Building pages out of nodes. Text is always text: nothing here, and nothing that uses it, parses HTML.
import { icons } from './icons.js';
import { say } from './say.js';

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `el('p.quiet', { id: 'x' }, 'text', node)`. Attributes that are false or missing are left out. */
export function el(shape, attributes = {}, ...children) {
  const [tag, ...classes] = shape.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An SVG element */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A drawn sign of 24 × 24; never the only bearer of a meaning */
export function icon(name, size = 24) {
  const frame = { viewBox: '0 0 24 24', width: size, height: size, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.9, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true', focusable: 'false' };
  return svg('svg', frame, ...icons[name].map((d) => svg('path', { d })));
}

/** An icon on its soft ground */
export const ground = (name, tone = '', extra = '') => el(['div', 'ground', tone, extra].filter(Boolean).join('.'), {}, icon(name));

/** A name from outside: it may run in another direction than the sentence around it. */
export const name = (text) => el('bdi', {}, text);

/** The plate of a registered screen */
export const plate = (text) => el('span.plate', {}, name(text));

/** A button that says `text` (a string or nodes) */
export function button(text, press, { tone = '', sign, extra = '', ...attributes } = {}) {
  const shape = ['button', 'button', tone, extra].filter(Boolean).join('.');
  return el(shape, { type: 'button', onclick: press, ...attributes }, sign && icon(sign, 22), el('span', {}, text));
}

/** A button in the clothes of a link */
export const linkButton = (text, press, attributes = {}) => el('button.link', { type: 'button', onclick: press, ...attributes }, text);

/** Headline that can take the focus when what had it is gone */
export const headline = (level, ...children) => el(level, { tabindex: '-1' }, ...children);

/** Says something to those who listen instead of looking. */
export function announce(text, urgent = false) {
  const place = document.getElementById(urgent ? 'alert' : 'polite');
  if (!place) return;
  place.textContent = '';
  setTimeout(() => (place.textContent = text), 50);
}

/** Replaces what `place` holds; if the focus was inside and is gone, the new headline takes it, or `place` itself. */
export function show(place, ...children) {
  const held = place.contains(document.activeElement);
  place.replaceChildren(...children.flat().filter(Boolean));
  if (held && !place.contains(document.activeElement)) (place.querySelector('h1, h2') ?? place).focus();
}

/** 40 strokes, or as many as asked: what is left of a time */
export class Tally {
  constructor(count = 40) {
    this.node = el('div.tally', { 'aria-hidden': 'true' });
    for (let at = 0; at < count; at += 1) this.node.append(document.createElement('i'));
  }

  /** `share` between 0 and 1 is still to come. */
  set(share) {
    const live = Math.ceil(Math.min(1, Math.max(0, share)) * this.node.children.length - 1e-9);
    [...this.node.children].forEach((stroke, at) => stroke.classList.toggle('spent', at >= live));
  }
}

/** Reference line for a help desk */
export const reference = (ref) => ref && el('p.small.quiet', {}, say('refusal.reference'), ' ', el('span.mono', {}, ref));
