// A phone that a shift shares: several keys, one for each person's seat. Whoever has it in hand says who they are; what is theirs
// is shown after their passkey, for some minutes, and no longer than they hold the phone.
import { Refusal } from './call.js';
import { ask, lock, vouching } from './device.js';
import { announce, button, el, icon, name, plate } from './dom.js';
import { pressing, screen, whoIs, wide } from './page.js';
import * as passkey from './passkey.js';
import { failed } from './refusals.js';
import { parts, say } from './say.js';
import * as shelf from './shelf.js';

/** How long somebody is who they said they are without touching the phone */
const HELD_MS = 180_000;
/** How long the page may be out of sight: somebody looks something up, or has put the phone down */
const HIDDEN_MS = 30_000;
const LOOK_MS = 2_000;

let phone;
let holder;
let left = 0;
let going = false;

/** Waits until somebody says who they are: their seat, as the rest of the page knows a device. */
export async function choose(shared) {
  phone = shared;
  const held = await shelf.holder();
  const seats = await shelf.seats();
  holder = held && Date.now() - held.at < HELD_MS ? seats.find(({ id }) => id === held.id) : undefined;
  holder ??= await who(seats);
  await touched();
  keepLocked();
  return holder;
}

const initials = (text) =>
  text
    .split(/\s+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => [...word][0])
    .join('')
    .toLocaleUpperCase();

const person = (seat, chosen) =>
  el('li', {}, el('button.person', { type: 'button', onclick: () => chosen(seat) }, el('span.initials', { 'aria-hidden': 'true' }, initials(seat.person)), name(seat.person)));

function who(seats) {
  return new Promise((resolve) => {
    whoIs();
    screen({
      name: 'who',
      head: say(seats.length ? 'seats.who.headline' : 'seats.none.headline'),
      body: parts(seats.length ? 'seats.who.body' : 'seats.none.body', { plate: plate(phone.plate.name) }),
      content: [seats.length > 0 && el('ul.people', {}, seats.map((seat) => person(seat, resolve)))],
      dock: [wide(say('seats.new'), newcomer, { sign: 'plus' })],
    });
  });
}

const way = (sign, text) => el('li', {}, icon(sign, 20), el('span', {}, text));

/** How somebody gets a seat: by a link, or by a phone of their own */
function newcomer() {
  screen({
    name: 'newcomer',
    sign: 'plus',
    tone: 'act',
    head: say('seats.new.headline'),
    body: say('seats.new.body'),
    content: [el('ul.card.advices', {}, way('mail', say('seats.new.link')), way('phone', say('seats.new.own')))],
    dock: [wide(say('seats.new.show'), () => location.assign('/add'), { tone: 'act' }), wide(say('devices.rename_back'), () => location.assign('/phone'))],
  });
}

const touched = () => !going && shelf.keepHolder({ id: holder.id, at: Date.now() });

/** Other tabs of this phone: each code that its camera reads opens one. */
const others = new BroadcastChannel('hand-on');

/** Nothing of this person is seen, whatever is still drawn. */
function blank() {
  document.documentElement.hidden = true;
  document.getElementById('main').replaceChildren();
}

/** The button that hands the phone on is there on every screen; and the phone locks by itself. */
function keepLocked() {
  let last = Date.now();
  let hidden = 0;
  document.getElementById('who').after(button(say('seats.hand_on'), handOn, { extra: 'slim', id: 'hand-on', sign: 'out' }));
  const used = () => {
    if (Date.now() - last > LOOK_MS) touched();
    last = Date.now();
  };
  for (const kind of ['pointerdown', 'keydown']) addEventListener(kind, used, { passive: true });
  document.addEventListener('visibilitychange', () => {
    if (hidden && Date.now() - hidden > HIDDEN_MS) handOn();
    hidden = document.visibilityState === 'hidden' ? Date.now() : 0;
  });
  others.onmessage = () => {
    going = true;
    blank();
    location.replace('/phone');
  };
  addEventListener('pagehide', blank);
  addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
  setInterval(() => {
    if (Date.now() - last > HELD_MS || (hidden && Date.now() - hidden > HIDDEN_MS)) handOn();
  }, LOOK_MS);
}

/** Nobody holds the phone who held it: here and on the server. */
async function letGo(seat) {
  others.postMessage(0);
  const held = await shelf.holder().catch(() => {});
  if (held?.id === seat.id) await shelf.dropHolder().catch(() => {});
  // Only the server's word is waited for, and not for long: without a line it locks by itself.
  await Promise.race([lock(seat).catch(() => {}), new Promise((resolve) => setTimeout(resolve, 1_500))]);
}

/** Whoever held the phone does so no more, before somebody else begins here. */
export async function letGoOfAll() {
  const held = await shelf.holder();
  const seat = held && (await shelf.seats()).find(({ id }) => id === held.id);
  if (seat) await letGo(seat);
}

/** Locks at once: nothing of this person is left on the page, and the server shows nothing more. */
export async function handOn() {
  if (going) return;
  going = true;
  blank();
  await letGo(holder);
  location.replace('/phone');
}

/** The end of an enrolment here */
export function seated({ plate: shown }, app) {
  screen({ name: 'seated', sign: 'check', tone: 'good', head: say('seats.done.headline'), body: parts('seats.done.body', { plate: plate(shown.name) }), dock: [wide(say('seats.done.on'), app.overview, { tone: 'act' })] });
  announce(say('seats.done.headline'));
}

/** Does `work` once its person has shown that they are here; asked for where the server says that it must be. */
export function unlocking(seat, app, work) {
  const told = el('p.wrong', { hidden: true, role: 'alert' }, icon('warning', 20), say('seats.unlock.not_used'));
  const open = async () => {
    let asked;
    try {
      asked = await ask(seat, 'POST', '/device/unlock/options', {});
    } catch (fault) {
      // Its key is known no more. Anything else may pass.
      if (fault instanceof Refusal && fault.code === 'bad_proof') ended(seat);
      else failed(fault, app);
      return;
    }
    try {
      const assertion = await passkey.assertion(asked);
      if (going) return;
      const { left_ms } = await ask(seat, 'POST', '/device/unlock', await vouching(phone, seat.key, '/device/unlock', { assertion }));
      clearTimeout(left);
      left = setTimeout(handOn, left_ms);
      await work();
    } catch (fault) {
      if (fault instanceof passkey.NotUsed || fault.code === 'bad_proof') told.hidden = false;
      else failed(fault, app);
    }
  };
  screen({
    name: 'unlock',
    sign: 'lock',
    tone: 'act',
    head: parts('seats.unlock.headline', { name: name(seat.person) }),
    body: say('seats.unlock.body'),
    content: [told],
    dock: [wide(say('overview.scan'), app.scan, { tone: 'act', sign: 'camera' }), wide(say('seats.unlock.see'), open, { sign: 'key' })],
  });
}

/** The server knows this seat no more. */
function ended(seat) {
  screen({
    name: 'seat_ended',
    sign: 'key',
    tone: 'warn',
    head: say('seats.ended.headline'),
    body: say('seats.ended.body'),
    dock: [wide(say('seats.ended.remove'), () => forget(seat), { tone: 'ink' }), wide(say('phone.reload'), () => location.reload())],
  });
  announce(say('seats.ended.headline'), true);
}

async function forget(seat) {
  await shelf.dropSeat(seat.id);
  await handOn();
}

/** Leaving the phone for good, asked once more */
export function leaving(seat, app) {
  const leave = async () => {
    try {
      await ask(seat, 'POST', `/device/devices/${encodeURIComponent(seat.id)}/leave`, {});
      await forget(seat);
    } catch (fault) {
      failed(fault, app);
    }
  };
  screen({
    name: 'leave',
    sign: 'out',
    tone: 'warn',
    head: say('seats.leave.headline'),
    body: say('seats.leave.body'),
    dock: [wide(say('seats.leave.stay'), () => app.overview(), { tone: 'ink' }), pressing(say('seats.leave.yes'), leave, { extra: 'wide' })],
  });
}

/** What is not for a phone that others use too */
export function notHere() {
  screen({ name: 'shared_phone', sign: 'phone', tone: 'warn', head: say('refusal.shared_phone.headline'), body: say('refusal.shared_phone.body'), dock: [wide(say('seats.back'), () => location.assign('/phone'))] });
}
