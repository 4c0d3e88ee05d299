// The idle screen of a registered terminal: a live code and nothing to type; then whose screen it is, for as long as their phone
// vouches for it; then idle again, with nothing left of them.
import { beat } from './beat.js';
import { call } from './call.js';
import { Countdown } from './countdown.js';
import { announce, button, el, ground, headline, linkButton, name, plate, show } from './dom.js';
import { BADGE, Deadline, isPair, seen } from './frame.js';
import { listen, parts, say, timeOfDay } from './say.js';
import { Scanner } from './scan.js';
import * as shelf from './shelf.js';
import { Terminal } from './terminal.js';
import { RESTS, watch } from './watch.js';

const IDLE_AFTER_MS = 5_000;
/** How long its camera looks for a badge */
const LOOK_MS = 60_000;
/** How long it waits for whoever vouches for somebody */
const WAITS_MS = 180_000;

const { organisation, host } = document.body.dataset;
const place = (id) => document.getElementById(id);

let known;
/** Who is here: `{ name, left_ms, whole_ms, start }`, or undefined */
let here;
let terminal;
let ticking = 0;

/** What the page shows: `idle`, `signed-in`, `next`, `locked`, `ended`, `unknown` */
function is(state, ...nodes) {
  document.body.dataset.kiosk = state;
  scanner?.stop();
  clearInterval(ticking);
  show(place('kiosk'), ...nodes);
}

const first = (whole) => whole.split(' ')[0];

/** Where badges are spoken of, beside the code */
const spot = el('div.badges');
let scanner;

/** A badge was read, by the camera or by a scanner that types: who showed it is asked on their phone. */
function worn(frames) {
  badges();
  terminal?.read(frames);
}

/** The button that turns the camera on, where there is one */
async function badges() {
  scanner?.stop();
  scanner = undefined;
  spot.replaceChildren();
  const found = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []);
  if (found?.some(({ kind }) => kind === 'videoinput') && !scanner) show(spot, button(say('kiosk.badge'), look, { sign: 'camera' }));
}

async function look() {
  const own = new Scanner();
  scanner = own;
  const video = el('video', { muted: true, playsinline: true, 'aria-hidden': 'true' });
  show(spot, el('p', { role: 'status' }, say('kiosk.badge.hold')), el('div.camera', {}, video), linkButton(say('kiosk.badge.stop'), badges));
  const timer = setTimeout(badges, LOOK_MS);
  try {
    await own.open(video);
    const frames = await own.frames(video, location.origin, { kind: BADGE, both: true });
    if (frames) worn(frames);
  } catch {
    show(spot, el('p.wrong', { role: 'alert' }, say('kiosk.badge.camera_off')));
  } finally {
    clearTimeout(timer);
  }
}

/** What a barcode scanner types, up to its Enter; the frame that it read last */
let typed = '';
let before;

function types(event) {
  if (!['idle', 'next'].includes(document.body.dataset.kiosk) || event.target instanceof HTMLInputElement) return;
  if (event.key !== 'Enter') {
    if (event.key.length === 1) typed = `${typed}${event.key}`.slice(-300);
    return;
  }
  const frame = seen(typed.slice(Math.max(0, typed.lastIndexOf(location.origin))), location.origin, BADGE);
  typed = '';
  if (!frame) return;
  event.preventDefault();
  if (before && isPair(before, frame)) worn([before.text, frame.text]);
  else show(spot, el('p', { role: 'status' }, say('kiosk.badge.again')));
  before = frame;
}

/** Where somebody says that they have no phone, beside the code; who does, by the name that they typed */
const help = el('div.badges');
let without = '';
let waits = 0;

/** Somebody else scans for whoever typed this name; nobody's, it is the ordinary code again. */
async function standsFor(login) {
  const held = help.contains(document.activeElement);
  without = login;
  clearTimeout(waits);
  // It tells people to take their own phone.
  document.getElementById('lead').hidden = login !== '';
  if (login) {
    waits = setTimeout(() => standsFor(''), WAITS_MS);
    show(help, el('p', { role: 'status' }, parts('kiosk.without.asked', { login: name(login) })), linkButton(say('kiosk.without.stop'), () => standsFor('')));
  } else offerHelp();
  if (held) help.querySelector('button')?.focus();
  await terminal?.restart();
}

/** The way in for somebody whose phone is flat, where an application takes them */
const offerHelp = () => ('withoutPhone' in document.body.dataset ? show(help, linkButton(say('kiosk.without'), noPhone)) : help.replaceChildren());

function noPhone() {
  const input = el('input.field', { id: 'without', maxlength: '64', autocomplete: 'off', autocapitalize: 'none', autocorrect: 'off', spellcheck: 'false', enterkeyhint: 'go', 'data-1p-ignore': '', 'data-lpignore': 'true' });
  const form = el('form.stack', { id: 'without-form', novalidate: true, autocomplete: 'off' }, el('div', {}, el('label', { for: 'without' }, say('kiosk.without.label')), input), el('button.button', { type: 'submit' }, say('sign_in.type_here.continue')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const login = input.value.trim().toLowerCase();
    if (login) standsFor(login);
    else input.focus();
  });
  show(help, form, linkButton(say('kiosk.without.stop'), () => standsFor('')));
  input.focus();
}

/** The code, with words above it; whoever is approved next takes the screen. */
async function code(state, head, body, under) {
  const box = el('section.card.code-card', { id: 'code-card', tabindex: '-1', 'aria-label': say('code.label') });
  is(state, el('div.kiosk-words', {}, headline('h1', head), el('p.lead', { id: 'lead' }, body), under, spot, help), box);
  badges();
  without = '';
  clearTimeout(waits);
  offerHelp();
  await terminal?.stop();
  terminal = new Terminal(box, {
    body: async () => ({ kiosk: true, counter: await shelf.count(), ...(without && { without_phone: without }) }),
    key: () => known.key,
    client: known.plate.name,
    organisation,
    host,
    restless: true,
    changed: (state) => gone && state === 'waiting' && ended(),
    redeemed: async (result, ceremony) => {
      // The proof by this screen's key claims what it gave; without it the server takes it back.
      await ceremony.continue();
      await shelf.keepTerminal({ key: ceremony.key }).catch(() => {});
      // A page of its own for each person: what was in memory goes.
      location.replace('/kiosk');
    },
  });
  await terminal.begin();
}

const idle = () =>
  code('idle', say('kiosk.idle.headline'), parts('kiosk.idle.body', { plate: plate(known.plate.name), place: name(known.plate.place) }));

const next = () =>
  code(
    'next',
    say('kiosk.next.headline'),
    parts('kiosk.next.body', { name: name(first(here.name)) }),
    button(parts('kiosk.next.back', { name: name(first(here.name)) }), back),
  );

async function back() {
  await terminal?.stop();
  terminal = undefined;
  if (LOCKS.includes(how)) locked(how);
  else signedIn();
}

function signedIn() {
  const deadline = new Deadline(here.left_ms - (performance.now() - here.at));
  const countdown = new Countdown(deadline, here.whole_ms).run();
  is(
    'signed-in',
    el(
      'section.card.state',
      {},
      el('p', {}, plate(known.plate.name)),
      headline('h1', name(here.name)),
      el('p.quiet', {}, say('session.until')),
      el('div.stack', {}, countdown.tally, countdown.words),
      el('p.wrong', { id: 'problem', role: 'alert', hidden: true }),
      el('div.kiosk-acts', {}, here.start && button(say('kiosk.open'), () => location.assign(here.start), { tone: 'act' }), button(say('kiosk.next'), next), button(say('session.sign_out'), ended, { tone: 'ink' })),
    ),
  );
  ticking = setInterval(() => deadline.left_ms === 0 && ended(), 1_000);
}

/** The phone, or what it rests on, does not vouch for this screen at this moment. */
function locked(standing) {
  is(
    'locked',
    el('section.card.state', {}, ground('lock', 'warn'), headline('h1', say('kiosk.locked.headline')), el('p', {}, parts('kiosk.locked.body', { name: name(first(here.name)) })), el('p.quiet', {}, say(RESTS[standing])), el('div.kiosk-acts', {}, button(say('kiosk.next'), next), button(say('session.sign_out'), ended, { tone: 'ink' }))),
  );
  announce(say('kiosk.locked.headline'), true);
}

/** How the session stood at the last word */
let how = 'good';
const LOCKS = ['lock', 'step_up'];
let over = false;
/** The session ended while somebody else was already being approved here */
let gone = false;

/** Nothing of the last person stays: neither here nor, by the server's word to the browser, in cookies and cache. */
async function ended() {
  if (over) return;
  over = true;
  here = undefined;
  await terminal?.stop();
  is('ended', el('section.card.state', {}, ground('lock', 'good'), headline('h1', say('session.ended.headline')), el('p.quiet', {}, say('session.ended.body'))));
  announce(say('session.ended.headline'), true);
  await call('POST', '/session/end', { json: {}, key: known.key }).catch(() => {});
  await shelf.dropTerminal().catch(() => {});
  setTimeout(() => location.replace('/kiosk'), IDLE_AFTER_MS);
}

function stands(standing) {
  how = standing;
  if (standing === 'ended') {
    // The next person's approval ends the last one's session: what it opens must not be ended along with it.
    gone = document.body.dataset.kiosk === 'next' && place('code-card')?.dataset.state !== 'waiting';
    return gone ? undefined : ended();
  }
  if (document.body.dataset.kiosk === 'next') return undefined;
  if (LOCKS.includes(standing)) return locked(standing);
  if (document.body.dataset.kiosk === 'locked') signedIn();
  const problem = place('problem');
  if (!problem) return undefined;
  problem.hidden = standing === 'good';
  problem.textContent = problem.hidden ? '' : say(RESTS[standing]);
  return undefined;
}

async function start() {
  await listen(document);
  addEventListener('keydown', types);
  addEventListener('pagehide', () => scanner?.stop());
  known = (await shelf.works()) ? await shelf.registered() : undefined;
  if (!known) {
    is('unknown', el('section.card.state', {}, ground('warning', 'warn'), headline('h1', say('kiosk.unknown.headline')), el('p', {}, say('kiosk.unknown.body'))));
    return;
  }
  document.title = `${known.plate.name} · ${organisation}`;
  place('who').replaceChildren(plate(known.plate.name));
  const live = place('live').dataset;
  place('live').remove();
  if (!live.name) {
    await idle();
    return;
  }
  here = { name: live.name, start: live.start, left_ms: Number(live.left) * 1000, whole_ms: Number(live.whole) * 1000, at: performance.now() };
  signedIn();
  announce(`${here.name}. ${timeOfDay(Date.now())}`);
  watch(stands);
  await beat(known.key, { over: () => stands('ended') });
}

start();
