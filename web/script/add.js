// A new device shows a code; a device that is enrolled already scans it. The key that opens this ceremony is the one that the
// new device keeps.
import { newKey } from './device.js';
import { el, icon, linkButton } from './dom.js';
import { makePasskey, nameField } from './enrol.js';
import { screen, wide } from './page.js';
import { say } from './say.js';
import { Terminal } from './terminal.js';

let phone;

export async function start(device, app, shared) {
  phone = shared;
  if (device) {
    screen({ name: 'already', sign: 'check', tone: 'good', head: say('enrol.done.headline'), body: say('enrol.already.body'), dock: [wide(say('phone.see_open'), app.overview)] });
    return;
  }
  if (phone) {
    await showCode(phone.plate.name, app);
    return;
  }
  const field = nameField();
  screen({
    name: 'add_name',
    sign: 'plus',
    tone: 'act',
    head: say('add.headline'),
    body: say('add.body'),
    content: [field.node],
    dock: [wide(say('add.show_code'), () => showCode(field.text(), app), { tone: 'act' })],
  });
}

async function showCode(name, app) {
  const key = await newKey();
  const box = el('section.card.code-card', { id: 'code-card', tabindex: '-1', 'aria-label': say('code.label') });
  const { organisation, host } = document.body.dataset;
  const typed = linkButton(say('sign_in.typed.link'), () => terminal.showTyped());
  const terminal = new Terminal(box, {
    body: () => ({ purpose: 'enrol-device', name }),
    key: () => key,
    client: name,
    organisation,
    host,
    changed: (state) => {
      typed.hidden = state !== 'waiting';
    },
    redeemed: async ({ ticket, name: person }) => makePasskey(ticket, person, { with: key, leads: app, named: name, shared: phone }),
  });
  screen({
    name: 'add',
    head: say(phone ? 'seats.new.headline' : 'add.headline'),
    body: say(phone ? 'seats.add.body' : 'add.body'),
    content: [box, el('div.links', {}, typed), el('div.notice', {}, icon('clock'), el('p', {}, say('add.undo')))],
  });
  await terminal.begin();
}
