// Recovery codes: how many are left, and new ones, which are shown once.
import { moment } from './activity.js';
import { ask } from './device.js';
import { announce, button, el, icon } from './dom.js';
import { pressing, screen, wide } from './page.js';
import * as passkey from './passkey.js';
import { failed } from './refusals.js';
import { dayOf, say } from './say.js';

/** A section of the overview */
export function recoveryCodes(device, app, set, limited) {
  const text = set ? say(set.left ? 'codes.left' : 'codes.none_left', { n: set.left, day: dayOf(moment(set.made_at)) }) : say('codes.none');
  const problem = el('p.wrong', { role: 'alert', hidden: true }, icon('warning', 20), say('codes.not_used'));
  const make = async () => {
    problem.hidden = true;
    try {
      const assertion = await passkey.assertion(await ask(device, 'POST', '/device/recovery-codes/options', {}));
      const { codes } = await ask(device, 'POST', '/device/recovery-codes', { assertion });
      shown(codes, app);
    } catch (fault) {
      if (fault instanceof passkey.NotUsed) problem.hidden = false;
      else failed(fault, app);
    }
  };
  const press = !limited && pressing(say(set ? 'codes.make_again' : 'codes.make'), make, { extra: 'slim' });
  return el('section', {}, el('div.head', {}, el('h2', {}, say('codes.headline')), press), el('p.quiet', {}, text), problem);
}

function shown(codes, app) {
  screen({
    name: 'codes',
    sign: 'key',
    tone: 'act',
    head: say('codes.shown.headline'),
    body: say('codes.shown.body'),
    content: [el('ol.card.codes', {}, codes.map((code) => el('li.mono', {}, code)))],
    dock: [button(say('codes.print'), () => print(), { extra: 'wide' }), wide(say('codes.on_paper'), app.overview, { tone: 'act' })],
  });
  announce(say('codes.shown.headline'));
}
