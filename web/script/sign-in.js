// The sign-in page. Order of things: resume what still lives here in silence; else show a code, and offer the passkey first.
import { call } from './call.js';
import { announce, el, plate, show } from './dom.js';
import { go } from './go.js';
import { freshKey } from './keys.js';
import * as passkey from './passkey.js';
import { listen, say } from './say.js';
import * as shelf from './shelf.js';
import { Terminal } from './terminal.js';

const { flow, client, organisation, host } = document.body.dataset;
const at = (path) => `/sign-in/${encodeURIComponent(flow)}/${path}`;
const place = (id) => document.getElementById(id);

/** What this screen is registered as, if it is */
let known;

/** The key of a session that must be raised for this request; without one a sign-in makes a key of its own. */
let raising;

async function resumed() {
  const kept = await shelf.terminal().catch(() => undefined);
  if (!kept) return false;
  try {
    const { next } = await call('POST', at('resume'), { json: {}, key: kept.key });
    if (!next) return false;
    go(next);
    return true;
  } catch (fault) {
    if (['step_up', 'locked'].includes(fault.code)) raising = kept.key;
    // Asked for something privileged while somebody far away has this screen in hand: nobody is bothered for it.
    if (fault.code === 'remote_controlled') throw fault;
    if (fault.status === 401) await shelf.dropTerminal().catch(() => {});
    return false;
  }
}

function passkeys(terminal) {
  const area = place('passkey');
  if (!area) return undefined;
  if (!passkey.available()) {
    area.hidden = true;
    place('or')?.remove();
    return undefined;
  }
  const first = [...area.childNodes];
  const pressed = async () => {
    const press = area.querySelector('button');
    if (press.getAttribute('aria-disabled') === 'true') return;
    press.setAttribute('aria-disabled', 'true');
    try {
      const options = await call('POST', at('passkey/options'), { json: {} });
      const assertion = await passkey.assertion(options);
      const key = raising ?? known?.key ?? (await freshKey());
      const result = await call('POST', at('passkey'), { json: { assertion, ...(raising && { raise: true }) }, key });
      await shelf.keepTerminal({ key }).catch(() => {});
      await terminal.stop();
      go(result.next);
    } catch (fault) {
      press.removeAttribute('aria-disabled');
      if (fault instanceof passkey.NotUsed) cancelled();
      else terminal.failed(fault);
    }
  };
  const cancelled = () => {
    const again = el('button.button.act.wide', { type: 'button', onclick: pressed }, say('sign_in.passkey.try_again'));
    show(area, el('h2', { tabindex: '-1' }, say('sign_in.passkey.cancelled_headline')), el('p.quiet', {}, say('sign_in.passkey.cancelled_body')), again);
    announce(say('sign_in.passkey.cancelled_headline'));
    again.focus();
  };
  area.querySelector('button').addEventListener('click', pressed);
  return { pressed, restore: () => area.replaceChildren(...first) };
}

function links(terminal) {
  const [typed, ask] = [place('typed-link'), place('ask-link')];
  typed.addEventListener('click', () => terminal.showTyped());
  ask.addEventListener('click', () => terminal.showAsk());
  const advice = place('advice');
  const help = place('help-link');
  help.addEventListener('click', () => {
    advice.hidden = !advice.hidden;
    help.setAttribute('aria-expanded', String(!advice.hidden));
  });
  place('cancel-link').addEventListener('click', async () => {
    const { next } = await call('POST', at('cancel'), { json: {} }).catch(() => ({}));
    if (!next) return;
    await terminal.stop();
    go(next);
  });
  return (state) => {
    typed.hidden = ask.hidden = state !== 'waiting';
  };
}

async function start() {
  await listen(document);
  let keys;
  let changed = () => {};
  const terminal = new Terminal(place('code-card'), {
    body: async () => ({ flow, ...(raising && { raise: true }), ...(known && { counter: await shelf.count() }) }),
    key: () => raising ?? known?.key,
    client,
    organisation,
    host,
    passkey: () => keys?.pressed(),
    changed: (state) => changed(state),
    disowned: () => shelf.dropTerminal().catch(() => {}),
    redeemed: async (result, ceremony, self) => {
      await shelf.keepTerminal({ key: ceremony.key }).catch(() => {});
      if (result.greet) self.greet(result, ceremony, ({ next }) => go(next));
      else go(result.next ?? (await ceremony.continue()).next);
    },
  });
  changed = links(terminal);
  if (!(await shelf.works())) {
    place('passkey')?.remove();
    place('or')?.remove();
    terminal.webview();
    return;
  }
  known = await shelf.registered().catch(() => undefined);
  if (known) place('who').replaceChildren(plate(known.plate.name));
  keys = passkeys(terminal);
  try {
    if (await resumed()) return;
  } catch (fault) {
    terminal.failed(fault);
    return;
  }
  await terminal.begin();
}

start();
