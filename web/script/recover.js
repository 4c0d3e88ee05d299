// The way back for whoever has no device left: another device, a code on paper, or two people and a wait. The key that asks is
// the one that the new device keeps; it stays here while the wait lasts.
import { call, Refusal } from './call.js';
import { newKey } from './device.js';
import { announce, button, el, icon, linkButton, name } from './dom.js';
import { makePasskey } from './enrol.js';
import { moment } from './activity.js';
import { screen, wide } from './page.js';
import { failed } from './refusals.js';
import { dayOf, parts, say, timeOfDay } from './say.js';
import * as shelf from './shelf.js';
import { Terminal } from './terminal.js';

const LOOK_MS = 10_000;

const { organisation, host } = document.body.dataset;

let app;
let looking = 0;

const post = (key, path, json = {}) => call('POST', path, { json, key, bound: true });

export async function start(device, leads) {
  app = leads;
  if (device) {
    screen({ name: 'already', sign: 'check', tone: 'good', head: say('enrol.done.headline'), body: say('enrol.already.body'), dock: [wide(say('phone.see_open'), app.overview)] });
    return;
  }
  const asking = await shelf.recovery();
  if (asking) await look(asking);
  else choose();
}

function choose() {
  screen({
    name: 'recover',
    sign: 'key',
    tone: 'act',
    head: say('recover.headline'),
    body: say('recover.body'),
    dock: [
      wide(say('recover.device'), () => location.assign('/add'), { sign: 'phone' }),
      wide(say('recover.code'), typed, { sign: 'type' }),
      wide(parts('recover.people', { organisation: name(organisation) }), named, { sign: 'person' }),
    ],
  });
}

const field = (id, label, more = {}) =>
  el('div', {}, el('label', { for: id }, label), el('input.field', { id, name: id, autocomplete: 'off', autocapitalize: 'none', autocorrect: 'off', spellcheck: 'false', maxlength: '64', 'aria-describedby': 'recover-problem', ...more }));

const value = (id) => document.getElementById(id).value.trim();

function form({ kind, head, body, fields, send }) {
  const problem = el('p.wrong', { id: 'recover-problem', role: 'alert', hidden: true });
  const press = el('button.button.act.wide', { type: 'submit', form: 'recover-form' }, say('phone.continue'));
  const asked = el('form.stack', { id: 'recover-form', novalidate: true, autocomplete: 'off' }, fields, problem);
  asked.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (press.getAttribute('aria-disabled') === 'true') return;
    press.setAttribute('aria-disabled', 'true');
    await send(problem);
    press.removeAttribute('aria-disabled');
  });
  screen({ name: kind, sign: 'key', tone: 'act', head, body, content: [asked], dock: [press, button(say('recover.back'), choose, { extra: 'wide' })] });
  asked.querySelector('input').focus();
}

const problemIs = (problem, text) => {
  problem.hidden = false;
  problem.replaceChildren(icon('warning', 20), text);
};

function typed() {
  const send = async (problem) => {
    const key = await newKey();
    try {
      const { ticket } = await post(key, '/recovery/code', { login: value('login'), code: value('recovery-code') });
      makePasskey(ticket, '', { with: key, leads: app });
    } catch (fault) {
      if (fault instanceof Refusal && fault.code === 'not_recovered') problemIs(problem, say('recover.code.wrong'));
      else failed(fault, app);
    }
  };
  form({
    kind: 'recover_code',
    head: say('recover.code.headline'),
    body: say('recover.code.body'),
    fields: [field('login', say('invite.login')), field('recovery-code', say('recover.code'), { autocapitalize: 'characters', placeholder: 'XXXX-XXXX-…' })],
    send,
  });
}

function named() {
  const send = async (problem) => {
    const login = value('login');
    if (!login) {
      problemIs(problem, say('recover.people.nobody'));
      return;
    }
    const asking = { key: await newKey(), login };
    await shelf.keepRecovery(asking);
    showCode(asking, 0);
  };
  form({
    kind: 'recover_people',
    head: say('recover.people.headline'),
    body: parts('recover.people.body', { organisation: name(organisation) }),
    fields: [field('login', say('invite.login'))],
    send,
  });
}

/** The code for the next of the two, who scans it and looks who it is. */
async function showCode(asking, approvals) {
  clearTimeout(looking);
  const box = el('section.card.code-card', { id: 'code-card', tabindex: '-1', 'aria-label': say('code.label') });
  const link = linkButton(say('sign_in.typed.link'), () => terminal.showTyped());
  const terminal = new Terminal(box, {
    body: () => ({ purpose: 'recover', login: asking.login }),
    key: () => asking.key,
    client: organisation,
    organisation,
    host,
    changed: (state) => {
      link.hidden = state !== 'waiting';
    },
    redeemed: async ({ recovery }) => {
      await terminal.stop();
      show(asking, recovery);
    },
  });
  screen({
    name: 'recover_show',
    head: say(approvals ? 'recover.second.headline' : 'recover.first.headline'),
    body: say('recover.show.body', { n: approvals }),
    content: [box, el('div.links', {}, link)],
    dock: [wide(say('recover.cancel'), async () => { await terminal.stop(); await cancel(asking); })],
  });
  await terminal.begin();
}

async function look(asking) {
  clearTimeout(looking);
  try {
    show(asking, await post(asking.key, '/recovery/standing'));
  } catch (fault) {
    failed(fault, app);
  }
}

function show(asking, { state, approvals, ready_at }) {
  if (state === 'none') return showCode(asking, 0);
  if (state === 'asked') return showCode(asking, approvals);
  if (state === 'waiting') return waiting(asking, approvals, moment(ready_at));
  if (state === 'ready') return ready(asking);
  return over();
}

function waiting(asking, n, until) {
  const time = until - Date.now() > 12 * 3_600_000 ? `${dayOf(until)}, ${timeOfDay(until)}` : timeOfDay(until);
  const again = document.body.dataset.screen === 'recover_waiting';
  screen({
    name: 'recover_waiting',
    sign: 'clock',
    tone: 'warn',
    head: say('recover.waiting.headline', { time }),
    body: say('recover.waiting.body', { n }),
    dock: [wide(say('recover.cancel'), () => cancel(asking))],
  });
  if (!again) announce(say('recover.waiting.headline', { time }));
  looking = setTimeout(() => look(asking), Math.min(LOOK_MS, Math.max(1_000, until - Date.now() + 500)));
}

function ready(asking) {
  const collect = async () => {
    try {
      const { ticket } = await post(asking.key, '/recovery/collect');
      await shelf.dropRecovery();
      makePasskey(ticket, '', { with: asking.key, leads: app });
    } catch (fault) {
      if (fault instanceof Refusal && ['gone', 'denied'].includes(fault.code)) over();
      else failed(fault, app);
    }
  };
  screen({ name: 'recover_ready', sign: 'check', tone: 'good', head: say('recover.ready.headline'), body: say('recover.ready.body'), dock: [wide(say('enrol.invitation.enrol'), collect, { tone: 'act' }), wide(say('recover.cancel'), () => cancel(asking))] });
  announce(say('recover.ready.headline'));
}

async function cancel(asking) {
  clearTimeout(looking);
  await post(asking.key, '/recovery/cancel').catch(() => {});
  await shelf.dropRecovery();
  choose();
}

/** Stopped, used or run out: this key is of no use any more. */
async function over() {
  clearTimeout(looking);
  await shelf.dropRecovery();
  screen({ name: 'recover_over', sign: 'cross', tone: 'bad', head: say('recover.over.headline'), body: parts('recover.over.body', { organisation: name(organisation) }), dock: [wide(say('recover.again'), choose)] });
  announce(say('recover.over.headline'), true);
}
