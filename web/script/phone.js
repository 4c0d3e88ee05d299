// The phone's pages: one shell each, told apart by `data-kind`. What stands behind `#` was taken away before this ran.
import { Approval } from './approve.js';
import { ask, load } from './device.js';
import { button, el, icon } from './dom.js';
import { parse } from './frame.js';
import { watch } from './offers.js';
import { isApple, screen, whoIs, wide } from './page.js';
import { failed } from './refusals.js';
import { listen, parts, say } from './say.js';
import { Scanner } from './scan.js';
import * as shelf from './shelf.js';
import { halfOf, hyphenated, parseUserCode } from './user-code.js';

const { kind, host } = document.body.dataset;
const fragment = globalThis.takeFragment?.() ?? '';

let device;
let shared;

const app = {
  scan: () => (location.pathname === '/q' ? scan() : location.assign('/q')),
  badge: () => location.assign('/badge'),
  code: () => (location.pathname === '/code' ? typed(true) : location.assign('/code')),
  overview: () => location.assign('/phone'),
  stop: () =>
    screen({ name: 'stopped', sign: 'cross', head: say('phone.stopped.headline'), body: say('phone.stopped.body'), dock: [wide(say('phone.see_open'), () => app.overview())] }),
};

function noKey() {
  screen({
    name: 'no_key',
    sign: 'phone',
    head: say('phone.no_key.headline'),
    body: say('phone.no_key.body'),
    content: [isApple && el('div.notice', {}, icon('phone'), el('p', {}, say('phone.no_key.apple')))],
    dock: [wide(say('phone.no_key.was'), () => location.assign('/enrol')), wide(say('enrol.cleared.recover'), () => location.assign('/recover')), wide(say('phone.close'), close, { tone: 'ink' })],
  });
}

function close() {
  globalThis.close();
  screen({ name: 'closed', head: say('phone.closed.headline'), body: say('phone.closed.body') });
}

function webview() {
  const told = el('p.small.quiet', { role: 'status' });
  const copy = async () => {
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    told.textContent = say('webview.copied');
  };
  screen({ name: 'webview', sign: 'window', tone: 'warn', head: say('webview.headline'), body: say('webview.body'), content: [told], dock: [wide(say('webview.copy'), copy, { tone: 'act' })] });
}

let looking;

async function send(body) {
  screen({ name: 'sending', sign: 'phone', tone: 'act', head: say('phone.sending.headline') });
  try {
    const view = await ask(device, 'POST', '/device/scans', body);
    await new Approval(device, view, app).run();
  } catch (fault) {
    failed(fault, app);
  }
}

async function scan() {
  const scanner = new Scanner();
  looking = scanner;
  const video = el('video', { muted: true, playsinline: true, 'aria-hidden': 'true' });
  const hint = el('p.quiet', { role: 'status' }, say('phone.scan.body'));
  const leave = () => {
    scanner.stop();
    app.code();
  };
  screen({ name: 'scan', head: say('phone.scan.headline'), content: [hint, el('div.camera', {}, video)], dock: [wide(say('phone.scan.type'), leave, { sign: 'type' })] });
  addEventListener('pagehide', () => scanner.stop(), { once: true });
  try {
    await scanner.open(video);
  } catch {
    screen({
      name: 'camera_off',
      sign: 'camera',
      tone: 'warn',
      head: say('phone.camera_off.headline'),
      body: parts('phone.camera_off.body', { host: el('strong', {}, host) }),
      dock: [wide(say('phone.try_again'), scan, { tone: 'act' }), wide(say('phone.scan.type'), app.code, { sign: 'type' })],
    });
    return;
  }
  const frames = await scanner.frames(video, location.origin, {
    onFirst: () => {
      hint.textContent = say('phone.scan.hold');
    },
    onForeign: () => {
      hint.textContent = say('phone.scan.foreign');
    },
  });
  if (frames) await send({ frames });
}

function typed(asked = false) {
  const input = el('input.field.typed', { id: 'user-code', name: 'code', autocomplete: 'off', autocapitalize: 'characters', autocorrect: 'off', spellcheck: 'false', maxlength: '11', placeholder: 'XXXX-XXXX', enterkeyhint: 'go', 'aria-describedby': 'code-problem' });
  const problem = el('p.wrong', { id: 'code-problem', role: 'alert', hidden: true });
  const form = el('form.stack', { id: 'code-form', novalidate: true, autocomplete: 'off' }, el('label', { for: 'user-code' }, say('phone.code.label')), input, problem);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const code = parseUserCode(input.value);
    if (code) send({ user_code: hyphenated(code) });
    else {
      problem.hidden = false;
      problem.textContent = say('phone.code.malformed');
      input.focus();
    }
  });
  screen({
    name: 'code',
    sign: 'type',
    tone: 'act',
    head: say('phone.code.headline'),
    body: say('phone.code.body'),
    content: [form],
    dock: [el('button.button.act.wide', { type: 'submit', form: 'code-form' }, say('phone.continue')), button(say('phone.code.scan'), app.scan, { sign: 'camera', extra: 'wide' })],
  });
  // Whatever opened this page may know half of the code; the other half is read off the screen in front of the person.
  const half = halfOf(fragment);
  if (half) input.value = `${half}-`;
  if (asked || half) input.focus();
}

/** The same on a phone that a shift shares: first somebody says who they are. */
async function together() {
  const seats = await import('./seats.js');
  shelf.persist();
  if (['enrol', 'add', 'recover'].includes(kind)) await seats.letGoOfAll();
  if (kind === 'enrol' && fragment) return (await import('./enrol.js')).start(fragment, undefined, app, shared);
  if (kind === 'add') return (await import('./add.js')).start(undefined, app, shared);
  if (kind === 'recover' || kind === 'enrol') return seats.notHere();
  device = await seats.choose(shared);
  whoIs(device.person);
  app.seats = seats;
  return show();
}

/** What this page is for, once it is known whose it is */
async function show() {
  if (kind === 'phone') return (await import('./overview.js')).start(device, app);
  if (kind === 'badge') return (await import('./badge.js')).start(device, app);
  if (kind === 'code') return typed();
  const frame = parse(fragment);
  return frame ? send({ frames: [frame.text] }) : scan();
}

async function start() {
  await listen(document);
  if (!(await shelf.works())) {
    webview();
    return;
  }
  device = await load();
  if (kind === 'terminal') return (await import('./register.js')).start(fragment);
  shared = await shelf.shared();
  if (shared) return together();
  if (kind === 'enrol') return (await import('./enrol.js')).start(fragment, device, app);
  if (kind === 'recover') return (await import('./recover.js')).start(device, app);
  if (kind === 'add') return (await import('./add.js')).start(device, app);
  if (!device) return noKey();
  whoIs(device.person);
  shelf.persist();
  watch(device, app, () => looking?.stop());
  return show();
}

start();
