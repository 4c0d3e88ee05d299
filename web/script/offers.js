// Requests that a screen sent to this person by name. While the page is looked at and nothing else is being decided, it asks
// what waits, and says so above whatever it shows. Nothing is taken, and nothing told to the screen, before somebody presses.
import { Approval } from './approve.js';
import { Refusal } from './call.js';
import { ask } from './device.js';
import { announce, el, icon, name } from './dom.js';
import { pressing } from './page.js';
import { pause } from './pause.js';
import { refused } from './refused.js';
import { failed } from './refusals.js';
import { parts, say } from './say.js';
import { refuseUnseen } from './statement.js';

const LOOK_MS = 4_000;
/** Screens on which nothing is being decided; style.css shows requests on these alone. */
const IDLE = ['overview', 'scan', 'camera_off', 'code'];

const path = (cid) => `/device/ceremonies/${encodeURIComponent(cid)}`;

/** Looks until this device is known no more. `leave()` is called before another screen is shown. */
export async function watch(device, app, leave = () => {}) {
  const place = document.getElementById('offers');
  let shown = [];
  const draw = (pending) => {
    const fresh = pending.filter(({ cid }) => !shown.some((one) => one.cid === cid));
    if (fresh.length === 0 && pending.length === shown.length) return;
    // What is still there stays as it is: a button must not move under a finger.
    for (const { cid, node } of shown) if (!pending.some((one) => one.cid === cid)) node.remove();
    const kept = shown.filter(({ cid }) => pending.some((one) => one.cid === cid));
    const added = fresh.map((one) => ({ cid: one.cid, node: offer(one, { device, app, leave }) }));
    place.append(...added.map(({ node }) => node));
    shown = [...kept, ...added];
    place.hidden = shown.length === 0;
    for (const { client } of fresh) announce(say('phone.push.headline', { client }));
  };
  for (;;) {
    if (!IDLE.includes(document.body.dataset.screen)) draw([]);
    else if (document.visibilityState === 'visible') {
      try {
        draw((await ask(device, 'GET', '/device/pending')).pending);
      } catch (fault) {
        // A lost line is no answer. A device that is lost, suspended or waiting has been given one, and need not ask again.
        if (fault instanceof Refusal && fault.status < 500 && fault.status !== 429) return;
      }
    }
    await pause(LOOK_MS);
  }
}

function offer({ cid, client }, { device, app, leave }) {
  const look = async () => {
    leave();
    try {
      await new Approval(device, { ...(await ask(device, 'POST', `${path(cid)}/take`, {})), cid }, app).run();
    } catch (fault) {
      failed(fault, app);
    }
  };
  // Refusing needs no statement: it is signed over nothing but the request's name, and works from anywhere.
  const tell = async (verb) => ask(device, 'POST', `${path(cid)}/decision`, await refuseUnseen(verb, cid, device, location.origin));
  const no = async () => {
    leave();
    try {
      await tell('refuse');
      refused({ body: say('phone.refused.body_unknown'), notMe: () => tell('not_me'), app, changed: false });
    } catch (fault) {
      failed(fault, app);
    }
  };
  const buttons = el('div.pair', {}, pressing(say('phone.push.no'), no, { tone: 'ink' }), pressing(say('phone.push.look'), look));
  return el('section.notice.act', {}, icon('screen'), el('div', {}, el('h2', {}, parts('phone.push.headline', { client: name(client) })), el('p', {}, say('phone.push.body')), buttons));
}
