// This screen gets a key of its own and becomes a registered one. Nobody's name, no passkey: it belongs to a place.
import { call, Refusal } from './call.js';
import { announce, el, name, plate } from './dom.js';
import { freshKey } from './keys.js';
import { screen, wide } from './page.js';
import { failed } from './refusals.js';
import { parts, say } from './say.js';
import * as shelf from './shelf.js';

const OLD = [400, 404, 410];
/** The class of phones that a shift shares */
const PHONE = 'shared-phone';

const old = () => {
  screen({ name: 'invitation_old', sign: 'mail', head: say('enrol.old.headline'), body: parts('enrol.old.body', { organisation: name(document.body.dataset.organisation) }) });
  announce(say('enrol.old.headline'), true);
};

/** `token` is what stood behind `#`. */
export async function start(token) {
  const key = await freshKey();
  const post = (path) => call('POST', path, { json: { token }, key, bound: true });
  const tried = (work) => async () => {
    try {
      await work();
    } catch (fault) {
      if (fault instanceof Refusal && OLD.includes(fault.status)) old();
      else failed(fault, { overview: () => location.reload(), scan: () => location.reload(), stop: () => location.reload() });
    }
  };
  const register = tried(async () => {
    const made = await post('/terminals/register');
    const isPhone = made.plate.class === PHONE;
    if (isPhone) await shelf.keepShared({ key, id: made.terminal, plate: made.plate });
    else await shelf.keepRegistered({ key, id: made.terminal, plate: made.plate, kiosk: made.kiosk });
    await shelf.persist();
    screen({
      name: 'registered',
      sign: 'check',
      tone: 'good',
      head: parts(isPhone ? 'register.phone.done' : 'register.done.headline', { plate: plate(made.plate.name) }),
      body: say(isPhone ? 'register.phone.done_body' : 'register.done.body'),
      dock: isPhone ? [wide(say('register.phone.open'), () => location.assign('/phone'), { tone: 'act' })] : made.kiosk ? [wide(say('register.done.open'), () => location.assign('/kiosk'), { tone: 'act' })] : [],
    });
  });
  const look = tried(async () => {
    const { plate: asked, organisation } = await post('/terminals/look');
    const isPhone = asked.class === PHONE;
    const before = await (isPhone ? shelf.shared() : shelf.registered()).catch(() => undefined);
    screen({
      name: 'register',
      sign: isPhone ? 'phone' : 'screen',
      tone: 'act',
      head: parts(isPhone ? 'register.phone.headline' : 'register.headline', { plate: plate(asked.name) }),
      body: parts(isPhone ? 'register.phone.body' : 'register.body', { place: name(asked.place), organisation: name(organisation) }),
      content: [before && el('div.notice.warn', {}, el('p', {}, parts(isPhone ? 'register.phone.replaces' : 'register.replaces', { plate: plate(before.plate.name) })))],
      dock: [wide(say(isPhone ? 'register.phone.register' : 'register.register'), register, { tone: 'act' })],
    });
  });
  if (token) await look();
  else old();
}
