// One question on a phone: a sign, a headline, evidence, and a dock of buttons at the bottom.
import { button, el, ground, headline, show } from './dom.js';

/** An iPad names itself a Mac, which has no screen to touch. */
export const isApple = /iPhone|iPad/.test(navigator.userAgent) || (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);

const place = (id) => document.getElementById(id);

/**
 * Shows one screen. `head` and `body` are strings or nodes; `dock` is a list of nodes, laid one under the other;
 * `name` tells style and tests which screen it is.
 */
export function screen({ name, sign, tone, head, body, content = [], dock = [], wide = false }) {
  const main = place('main');
  const held = document.activeElement !== document.body;
  const again = document.body.dataset.screen === name;
  document.body.dataset.screen = name;
  show(
    main,
    el(
      wide ? 'div.page' : 'div.column',
      {},
      sign && ground(sign, tone, 'large'),
      head && headline('h1', head),
      body && el('p.quiet', {}, body),
      content,
    ),
  );
  const bar = place('dock');
  bar.hidden = dock.length === 0;
  bar.replaceChildren(el('div.inner', {}, dock));
  const title = typeof head === 'string' ? head : body && typeof body === 'string' ? body : document.title;
  document.title = title.includes('·') ? title : `${title} · ${document.body.dataset.organisation}`;
  // Gone with what was shown before, or hidden by the new screen
  const lost = document.activeElement === document.body || document.activeElement.getClientRects().length === 0;
  if (held && lost) main.querySelector('h1')?.focus({ preventScroll: true });
  if (!again) scrollTo(0, 0);
}

/** Who holds this phone, at the head of the page */
export function whoIs(text) {
  place('who').replaceChildren(el('bdi', {}, text ?? ''));
}

/** Two decisions side by side; one under the other when either wraps */
export const decide = (...buttons) => el('div.decide', {}, buttons);

/** A button that runs once at a time */
export function pressing(text, work, settings = {}) {
  const press = button(
    text,
    async () => {
      if (press.getAttribute('aria-disabled') === 'true') return;
      press.setAttribute('aria-disabled', 'true');
      try {
        await work(press);
      } finally {
        press.removeAttribute('aria-disabled');
      }
    },
    settings,
  );
  return press;
}

export const wide = (text, work, settings = {}) => pressing(text, work, { ...settings, extra: 'wide' });
