// Administrators invite people: a link that works once, and the same as a code to scan.
import { ask } from './device.js';
import { announce, el, name, svg } from './dom.js';
import { pressing, screen, wide } from './page.js';
import { failed } from './refusals.js';
import { modules, path, plan } from './qr.js';
import { parts, say } from './say.js';

const field = (id, label, more = {}) => el('div', {}, el('label', { for: id }, say(label)), el('input.field', { id, autocomplete: 'off', maxlength: '80', ...more }));

/** The form among the overview's sections */
export function invite(device, app) {
  const role = el('select.field', { id: 'invite-role' }, el('option', { value: 'member' }, say('invite.member')), el('option', { value: 'recovery_officer' }, say('invite.recovery_officer')), el('option', { value: 'administrator' }, say('invite.administrator')));
  const send = async () => {
    const [person, login] = ['invite-name', 'invite-login'].map((id) => document.getElementById(id).value.trim());
    if (!person || !login) {
      document.getElementById(person ? 'invite-login' : 'invite-name').focus();
      return;
    }
    try {
      shown(person, await ask(device, 'POST', '/device/invitations', { name: person, login, role: role.value }), app);
    } catch (fault) {
      failed(fault, app);
    }
  };
  const press = pressing(say('invite.make'), send, { tone: 'act' });
  const form = el(
    'form.card.invite',
    { novalidate: true, autocomplete: 'off' },
    field('invite-name', 'invite.name'),
    field('invite-login', 'invite.login', { autocapitalize: 'none', spellcheck: 'false' }),
    el('div', {}, el('label', { for: 'invite-role' }, say('invite.role')), role),
    press,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    press.click();
  });
  return el('section', {}, el('h2', {}, say('invite.headline')), form);
}

function code(text) {
  const grid = modules(text, plan(text));
  const side = grid.length + 8;
  const picture = svg('svg', { viewBox: `-4 -4 ${side} ${side}`, role: 'img', 'aria-label': say('invite.code') }, svg('path', { d: path(grid) }));
  return el('div.tile.still', {}, el('div.symbol', {}, picture));
}

function shown(person, { link, left_ms }, app) {
  const told = el('p.small.quiet', { role: 'status' });
  const copy = async () => {
    await navigator.clipboard?.writeText(link).catch(() => {});
    told.textContent = say('invite.copied');
  };
  screen({
    name: 'invited',
    sign: 'mail',
    tone: 'act',
    head: parts('invite.shown.headline', { name: name(person) }),
    body: say('invite.shown.body', { n: Math.max(1, Math.round(left_ms / 60_000)) }),
    content: [code(link), el('p.mono.small', { id: 'invitation-link' }, link), told],
    dock: [wide(say('invite.copy'), copy, { tone: 'act' }), wide(say('story.back'), app.overview)],
  });
  announce(say('invite.shown.aloud'));
}
