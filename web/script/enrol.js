// An invitation makes this browser a device: a key that stays here, and a passkey that stands for the person. The same page
// binds a browser anew that forgot its key.
import { call, Refusal } from './call.js';
import { guessName, keep, newKey, vouching } from './device.js';
import { announce, el, icon, name, plate } from './dom.js';
import { screen, wide, whoIs } from './page.js';
import * as passkey from './passkey.js';
import { recovered } from './recovered.js';
import { failed } from './refusals.js';
import { parts, say } from './say.js';

const OLD = [400, 404, 410];

let key;
let app;
let before;
let phone;

const post = (path, json) => call('POST', path, { json, key, bound: true });

/** `token` is what stood behind `#`; without one, this is the way back for a browser that was enrolled before. */
export async function start(token, device, leads, shared) {
  app = leads;
  phone = shared;
  before = device;
  key = await newKey();
  if (!token) {
    forgot(device);
    return;
  }
  try {
    invited(token, await post('/enrolments/look', { token }));
  } catch (fault) {
    if (fault instanceof Refusal && OLD.includes(fault.status)) old();
    else failed(fault, app);
  }
}

const old = () => {
  const organisation = name(document.body.dataset.organisation);
  screen({ name: 'invitation_old', sign: 'mail', head: say('enrol.old.headline'), body: parts('enrol.old.body', { organisation }) });
  announce(say('enrol.old.headline'), true);
};

function invited(token, { name: person, organisation, left_ms }) {
  const n = Math.max(1, Math.round(left_ms / 60_000));
  screen({
    name: 'invitation',
    sign: 'phone',
    tone: 'act',
    head: parts('enrol.invitation.headline', { name: name(person) }),
    content: [phone && el('div.notice', {}, icon('phone'), el('p', {}, parts('seats.invitation', { plate: plate(phone.plate.name) }))), !phone && before && el('div.notice.warn', {}, icon('warning'), el('p', {}, say('enrol.invitation.replaces')))],
    body: [...parts('enrol.invitation.body', { organisation: name(organisation) }), ' ', say('enrol.invitation.once', { n })],
    dock: [
      wide(say('enrol.invitation.not_me'), () => screen({ name: 'not_mine', sign: 'cross', head: say('enrol.not_me.headline'), body: say('enrol.not_me.body') }), { tone: 'ink' }),
      wide(say(phone ? 'seats.take' : 'enrol.invitation.enrol'), () => makePasskey(token, person), { tone: 'act' }),
    ],
  });
}

/** The field for what people will call this device */
export function nameField(named = guessName()) {
  const input = el('input.field', { id: 'device-name', name: 'device-name', maxlength: '40', autocomplete: 'off', value: named });
  return { input, node: el('div', {}, el('label', { for: 'device-name' }, say('enrol.device_name')), input), text: () => input.value.trim() || guessName() };
}

/** Makes the passkey that stands for the person, then enrols. `token` is an invitation's or a ceremony's ticket. */
export function makePasskey(token, person, { with: own, leads, named, shared } = {}) {
  if (shared) phone = shared;
  if (own) key = own;
  if (leads) app = leads;
  const field = phone ? { text: () => phone.plate.name } : nameField(named);
  const make = async () => {
    try {
      const { creation } = await post('/enrolments/begin', { token });
      const credential = await passkey.creation(creation);
      const device_name = field.text();
      const body = { token, device_name, credential };
      const enrolled = await post('/enrolments/finish', phone ? vouching(phone, key, '/enrolments/finish', body) : body);
      await keep(key, enrolled, device_name, phone);
      done(enrolled);
    } catch (fault) {
      if (fault instanceof passkey.NotUsed) notUsed();
      else if (fault instanceof Refusal && OLD.includes(fault.status) && fault.code !== 'bad_proof') old();
      else failed(fault, app);
    }
  };
  const notUsed = () => {
    const told = document.getElementById('passkey-problem');
    told.hidden = false;
    announce(say('phone.passkey_failed.headline'), true);
  };
  whoIs(person);
  screen({
    name: 'make_passkey',
    sign: 'key',
    tone: 'act',
    head: say('enrol.passkey.headline'),
    body: say(phone ? 'seats.passkey.body' : 'enrol.passkey.body'),
    content: [field.node, el('p.wrong', { id: 'passkey-problem', hidden: true }, icon('warning', 20), say('enrol.passkey.not_used'))],
    dock: [wide(say('enrol.passkey.make'), make, { tone: 'act', sign: 'key' })],
  });
}

function done({ device_state, name: person, recovered: back }) {
  whoIs(person);
  if (back) {
    recovered(app);
    return;
  }
  if (phone) {
    import('./seats.js').then(({ seated }) => seated(phone, app));
    return;
  }
  const waits = device_state === 'pending';
  screen({
    name: waits ? 'enrolled_pending' : 'enrolled',
    sign: waits ? 'clock' : 'check',
    tone: waits ? 'warn' : 'good',
    head: say(waits ? 'enrol.pending.headline' : 'enrol.done.headline'),
    body: say(waits ? 'enrol.pending.body' : 'enrol.done.body'),
    dock: waits
      ? [wide(say('enrol.done.later'), app.overview)]
      : [wide(say('enrol.done.add'), () => addDevice(), { tone: 'act' }), wide(say('enrol.done.later'), app.overview)],
  });
  announce(say(waits ? 'enrol.pending.headline' : 'enrol.done.headline'));
}

/** How a second device is added: from there, not from here. */
export function addDevice() {
  const address = el('strong.nowrap', {}, `${document.body.dataset.host}/add`);
  screen({
    name: 'how_to_add',
    sign: 'plus',
    tone: 'act',
    head: say('enrol.how_to_add.headline'),
    content: [el('ol.steps', {}, el('li', {}, el('span', {}, parts('enrol.how_to_add.open', { address }))), el('li', {}, say('enrol.how_to_add.scan')), el('li', {}, say('enrol.how_to_add.type')))],
    dock: [wide(say('enrol.how_to_add.scan_now'), app.scan, { tone: 'act', sign: 'camera' }), wide(say('enrol.done.later'), app.overview)],
  });
}

/** This browser forgot its key: another device lets it back in, or a passkey does, with less at first. */
function forgot(device) {
  if (device) {
    screen({ name: 'already', sign: 'check', tone: 'good', head: say('enrol.done.headline'), body: say('enrol.already.body'), dock: [wide(say('phone.see_open'), app.overview)] });
    return;
  }
  const told = el('p.wrong', { hidden: true }, icon('warning', 20), say('enrol.passkey.not_used'));
  const again = async () => {
    try {
      const assertion = await passkey.assertion(await post('/rebind/options', {}));
      const device_name = guessName();
      const bound = await post('/rebind/finish', { assertion, device_name });
      await keep(key, bound, device_name);
      done({ name: '', ...bound });
    } catch (fault) {
      if (fault instanceof passkey.NotUsed) told.hidden = false;
      else failed(fault, app);
    }
  };
  screen({
    name: 'cleared',
    sign: 'key',
    tone: 'warn',
    head: say('enrol.cleared.headline'),
    body: say('enrol.cleared.body'),
    content: [el('div.notice', {}, icon('clock'), el('p', {}, say('enrol.cleared.less'))), told],
    dock: [
      wide(say('enrol.cleared.show_code'), () => location.assign('/add'), { tone: 'act' }),
      passkey.available() && wide(say('enrol.cleared.passkey'), again, { sign: 'key' }),
      wide(say('enrol.cleared.recover'), () => location.assign('/recover')),
    ].filter(Boolean),
  });
}
