// What is open, which devices there are, what happened: everything a person may see and end from a phone.
import { activity, moment } from './activity.js';
import { Refusal } from './call.js';
import { rights } from './describe.js';
import { ask } from './device.js';
import { Tally, announce, button, el, ground, icon, name, plate } from './dom.js';
import { addDevice } from './enrol.js';
import { invite } from './invite.js';
import { decide, pressing, screen, whoIs, wide } from './page.js';
import { stopped } from './refused.js';
import { recoveryCodes } from './recovery-codes.js';
import { failed } from './refusals.js';
import { dayOf, parts, say, span, timeOfDay } from './say.js';
import * as shelf from './shelf.js';
import { decide as signed, read } from './statement.js';
import { story } from './story.js';
import { tell } from './tell.js';
import { RESTS } from './watch.js';

const RENEW_MS = 30_000;
/** What a device hears that is pending, lost or revoked */
const UNKNOWN = ['bad_proof', 'denied', 'no_such_thing'];

let device;
let app;
let renewing = 0;

/** Begins: shows the overview, and keeps it true while it is looked at. */
export async function start(own, leads) {
  device = own;
  app = { ...leads, overview: () => show() };
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && renew());
  if (device.seat) app.seats.unlocking(device, app, show);
  else await show();
}

function renew() {
  clearTimeout(renewing);
  renewing = setTimeout(() => {
    const busy = document.activeElement !== document.body;
    if (document.visibilityState === 'visible' && document.body.dataset.screen === 'overview' && !busy) show();
    else renew();
  }, RENEW_MS);
}

const act = (path, json = {}) => ask(device, 'POST', path, json);

async function show() {
  try {
    draw(await ask(device, 'GET', '/device/overview'));
    renew();
  } catch (fault) {
    if (device.seat && fault instanceof Refusal && ['seat_locked', ...UNKNOWN].includes(fault.code)) app.seats.unlocking(device, app, show);
    else if (fault instanceof Refusal && UNKNOWN.includes(fault.code)) forgotten();
    else failed(fault, app);
  }
}

/** The server does not know this key any more: it was lost, revoked or undone. */
function forgotten() {
  screen({
    name: 'forgotten',
    sign: 'key',
    tone: 'warn',
    head: say('overview.forgotten.headline'),
    body: say('overview.forgotten.body'),
    dock: [
      wide(say('overview.forgotten.again'), async () => {
        await shelf.dropDevice();
        location.assign('/enrol');
      }),
      wide(say('phone.reload'), () => location.reload(), { tone: 'act' }),
    ],
  });
}

function draw(view) {
  whoIs(view.me.name);
  screen({
    name: 'overview',
    wide: true,
    content: [
      view.notices.length > 0 && el('div.stack', {}, view.notices.map(notice)),
      sessions(view.sessions),
      !device.seat && devices(view.devices),
      !device.seat && tell(device, view.push),
      !device.seat && recoveryCodes(device, app, view.recovery, view.devices.some((one) => one.this && (one.limited_until || one.state !== 'active'))),
      view.user_code !== undefined && word(view.user_code),
      ...happened(view),
      device.seat && el('p', {}, button(say('seats.leave'), () => app.seats.leaving(device, app), { extra: 'slim' })),
    ].flat(),
    dock: [wide(say('overview.scan'), app.scan, { tone: 'act', sign: 'camera' }), view.badge && wide(say('overview.badge'), app.badge, { sign: 'person' })],
  });
}

/** Does something, then shows how things stand. */
const then = (work) => async () => {
  try {
    await work();
    await show();
  } catch (fault) {
    failed(fault, app);
  }
};

// Notices

const NOTICES = {
  device_added: ['notice.device_added.headline', 'notice.device_added.body', 'notice.device_added.body_over'],
  device_rebound: ['notice.device_rebound.headline', 'notice.device_rebound.body', 'notice.device_rebound.body_over'],
  device_recovered: ['notice.device_recovered.headline', 'notice.device_added.body', 'notice.device_added.body_over'],
  recovery_asked: ['notice.recovery_asked.headline', 'notice.recovery_asked.body', 'notice.recovery_asked.body_over'],
  recovery_codes: ['notice.recovery_codes.headline', 'notice.recovery_codes.body', 'notice.device_added.body_over'],
  vouched: ['notice.vouched.headline', 'notice.vouched.body', 'notice.vouched.body'],
  not_me: ['notice.not_me.headline', 'notice.not_me.body', 'notice.not_me.body'],
};

/** What is said instead of "It was me" */
const ANSWERS = { not_me: 'notice.ok', vouched: 'notice.was_me', recovery_asked: 'notice.is_me' };

function notice({ id, kind, device: which, at, undo }) {
  const [head, open, over] = NOTICES[kind] ?? ['notice.other.headline', 'notice.other.body', 'notice.other.body'];
  const path = `/device/notices/${encodeURIComponent(id)}`;
  const when = `${dayOf(moment(at))}, ${timeOfDay(moment(at))}`;
  const buttons = el(
    'div.pair',
    {},
    undo && pressing(say(kind === 'recovery_asked' ? 'notice.stop' : 'notice.undo'), then(() => act(`${path}/undo`)), { extra: 'slim' }),
    pressing(say(ANSWERS[kind] ?? 'notice.was_me'), then(() => act(`${path}/ok`)), { extra: 'slim' }),
  );
  const body = parts(undo ? open : over, { device: name(which ?? ''), time: when });
  return el('section.notice.warn', {}, icon('warning'), el('div', {}, el('h2', {}, say(head)), el('p', {}, body), buttons));
}

// Sessions

function sessions(list) {
  const endAll = then(async () => {
    await act('/device/sessions/end');
    announce(say('ended.headline'), true);
  });
  const all = list.length > 1 && pressing(list.length === 2 ? say('sessions.end_both') : say('sessions.end_all', { n: list.length }), endAll, { extra: 'slim' });
  const head = el('div.head', {}, el('h1', { tabindex: '-1' }, say(list.length ? 'sessions.headline' : 'sessions.empty')), all);
  if (!list.length) return el('section', {}, head, el('p.quiet', {}, say('sessions.empty_body')));
  return el('section', {}, head, el('div.card', {}, list.map(session)));
}

/** Why it does not simply go on, in the words of the rule or in ours. */
const rests = ({ effect, say: said }) => el('p.notice.warn', {}, icon('lock'), el('span', {}, said || say(RESTS[effect])));

/** 12 minutes left, until 14:35 */
const left = (left_s, until) => say('sessions.left', { span: span(left_s), time: timeOfDay(moment(until)) });

/** A right that was given for a while: what, how long still, and its end */
function timed({ id, scope, until, left_s, reason }, where) {
  const [called] = rights([scope]);
  const end = then(async () => {
    await act(`/device/rights/${encodeURIComponent(id)}/end`);
    announce(say('rights.ended'), true);
  });
  const why = reason && el('p.small.quiet', {}, parts('rights.reason', { reason: name(reason) }));
  const stop = pressing(say('rights.end'), end, { extra: 'slim', 'aria-label': say('rights.end_named', { right: scope, screen: where }) });
  return el('li', {}, icon('clock'), el('div', {}, el('p', {}, called), el('p.small.quiet', {}, left(left_s, until)), why), stop);
}

function session({ id, screen: agent, terminal, place: site, client, rights: all, timed: list = [], opened_at, until, left_s, by, whose, vouched_by: vouched, standing }) {
  const where = terminal ?? agent;
  const scopes = all.filter((scope) => !list.some((one) => one.scope === scope));
  const tally = new Tally(24);
  tally.set(left_s / Math.max(1, until - opened_at));
  const box = el('div.session');
  const end = async () => {
    try {
      await act(`/device/sessions/${encodeURIComponent(id)}/end`);
      box.replaceChildren(
        ground('lock', 'good'),
        el('div', {}, el('h2', { tabindex: '-1' }, say('ended.headline')), el('p.small.quiet', {}, parts('ended.body', { screen: name(where), client: name(client) }))),
      );
      box.querySelector('h2').focus();
      announce(say('ended.headline'), true);
    } catch (fault) {
      failed(fault, app);
    }
  };
  const facts = [
    whose && el('p.small', {}, parts('session.whose', { name: name(whose) })),
    vouched && el('p.small', {}, parts('session.vouched_by', { name: name(vouched) })),
    el('p.small.quiet', {}, name(client), '. ', rights(scopes).flatMap((one, at) => (at ? [', ', one] : [one])), scopes.length ? '.' : ''),
    by && el('p.small.quiet', {}, parts('sessions.opened_with', { device: name(by), time: timeOfDay(moment(opened_at)) })),
    standing && rests(standing),
    list.length > 0 && el('ul.timed', {}, list.map((one) => timed(one, where))),
  ];
  box.append(
    ground(terminal ? 'screen' : 'laptop'),
    el('div', {}, el('h2', {}, terminal ? plate(terminal) : name(where)), site && el('p.small.quiet', {}, name(site)), facts),
    el('div.time', {}, tally.node, el('p', {}, left(left_s, until))),
    pressing(say('sessions.end'), end, { extra: 'slim', 'aria-label': say('sessions.end_named', { screen: where }) }),
  );
  return box;
}

// Devices

function chip(one) {
  const made = (tone, sign, text) => el(`span.chip.${tone}`, {}, sign && icon(sign, 16), text);
  if (one.state === 'pending') return made('warn', 'clock', say('devices.waiting'));
  if (['lost', 'revoked', 'retired', 'suspended'].includes(one.state)) return made('bad', 'cross', say(one.state === 'lost' ? 'devices.lost' : 'devices.closed'));
  const until = one.limited_until && moment(one.limited_until);
  if (until && until > Date.now()) return made('warn', 'clock', say('devices.limited', { time: timeOfDay(until) }));
  return one.this ? made('act', null, say('devices.this')) : made('good', 'check', say('devices.ready'));
}

function devices(list) {
  const head = el('div.head', {}, el('h2', {}, say('devices.headline')), button(say('enrol.done.add'), addDevice, { extra: 'slim' }));
  return el('section', {}, head, el('div.devices', {}, list.map(card)));
}

function card(one) {
  const path = `/device/devices/${encodeURIComponent(one.id)}`;
  const waiting = one.state === 'pending';
  const living = one.state === 'active' || one.state === 'suspended';
  const named = (key) => ({ extra: 'slim', 'aria-label': say(key, { device: one.name }) });
  const acts = [
    waiting && !one.this && pressing(say('devices.not_mine'), then(() => act(`${path}/not-mine`)), named('devices.not_mine_named')),
    waiting && !one.this && pressing(say('devices.allow'), then(() => act(`${path}/allow`)), named('devices.allow_named')),
    living && button(say('devices.rename'), () => rename(one, path), named('devices.rename_named')),
    living && !one.this && button(say('devices.lost_it'), () => lost(one, path), named('devices.lost_it_named')),
  ].filter(Boolean);
  const key = say(one.key === 'hardware' ? 'devices.key_hardware' : 'devices.key_software');
  const added = say('devices.added', { day: dayOf(moment(one.added_at)) });
  return el(
    'article.card.device',
    {},
    el('div.head', {}, ground('phone'), chip(one)),
    el('div', {}, el('h3', {}, name(one.name)), el('p.small.quiet', {}, `${one.shared ? say('devices.shared') : key} ${added}`), waiting && el('p.small.quiet', {}, say('devices.waiting_body'))),
    acts.length > 0 && el('div.pair', {}, acts),
  );
}

function lost(one, path) {
  screen({
    name: 'lost',
    sign: 'warning',
    tone: 'warn',
    head: parts('lost.headline', { device: name(one.name) }),
    body: say('lost.body'),
    dock: [decide(button(say('lost.keep'), () => show(), { tone: 'ink' }), pressing(say('lost.yes'), then(() => act(`${path}/lost`)), {}))],
  });
}

function rename(one, path) {
  const input = el('input.field', { id: 'new-name', maxlength: '40', autocomplete: 'off', value: one.name });
  const form = el('form', { id: 'rename-form', novalidate: true }, el('label', { for: 'new-name' }, say('enrol.device_name')), input);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (input.value.trim()) then(() => act(`${path}/rename`, { name: input.value.trim() }))();
  });
  const keep = el('button.button.act', { type: 'submit', form: 'rename-form' }, say('devices.rename_keep'));
  screen({ name: 'rename', head: say('devices.rename_headline'), content: [form], dock: [decide(button(say('devices.rename_back'), () => show()), keep)] });
  input.focus();
}

// The word of those who may ask by name

function word(set) {
  const acts = [
    button(say(set ? 'word.change' : 'word.set'), () => chooseWord(), { extra: 'slim' }),
    set && pressing(say('word.remove'), then(() => act('/device/user-code', { code: '' })), { extra: 'slim' }),
  ].filter(Boolean);
  return el('section', {}, el('div.head', {}, el('h2', {}, say('word.headline')), ...acts), el('p.quiet', {}, say(set ? 'word.is_set' : 'word.is_not')));
}

function chooseWord() {
  const input = el('input.field', { id: 'new-word', minlength: '6', maxlength: '64', autocomplete: 'off', required: true });
  const form = el('form', { id: 'word-form' }, el('label', { for: 'new-word' }, say('word.label')), input);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    then(() => act('/device/user-code', { code: input.value.trim() }))();
  });
  const keep = el('button.button.act', { type: 'submit', form: 'word-form' }, say('word.keep'));
  screen({ name: 'word', head: say('word.choose'), body: say('word.body'), content: [form], dock: [decide(button(say('devices.rename_back'), () => show()), keep)] });
  input.focus();
}

// What happened

function happened(view) {
  const look = (cid) => story(device, cid, { app, back: () => show() });
  const lists = activity(view.activity, { look, disown: (cid) => disown(cid) });
  const administrator = view.me.role === 'administrator' && !device.seat && invite(device, app);
  if (!administrator) return lists;
  return [el('div.two', {}, el('section', {}, lists), administrator)];
}

/** "Not me", about something that was opened: signed like any decision, over the statement that was approved. */
async function disown(cid) {
  try {
    const path = `/device/ceremonies/${encodeURIComponent(cid)}`;
    const view = await ask(device, 'GET', path);
    const checked = await read({ ...view, cid, assertion: undefined }, device, location.origin);
    await act(`${path}/decision`, await signed('not_me', checked, device));
    stopped(app);
  } catch (fault) {
    failed(fault, app);
  }
}
