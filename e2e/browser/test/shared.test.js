// A phone of the shop that a shift shares, in Chromium: two people, one browser, a passkey each. Neither sees what is the other's.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear, tabTo } from '../stage/access.js';
import { passkeys, verifies } from '../stage/browser.js';
import { screenIs, Stage } from '../stage/index.js';
import { pictures } from '../stage/pictures.js';

describe('a phone that a shift shares', { timeout: 240_000 }, () => {
  let stage;
  let screen;
  let phone;
  const picture = pictures('shared');

  const press = (name) => phone.getByRole('button', { name, exact: true }).click();
  const command = (...words) => stage.server.command(words);
  const link = (text) => /https?:\/\/\S+#[\w-]+/.exec(text)[0];
  /** Somebody takes a seat by the link that they were invited with. */
  const sits = async (name, login) => {
    // The link is followed in a fresh page, as one that a camera read would be: the same page with another `#` would not load.
    await phone.goto('about:blank');
    await phone.goto(link(command('invite', name, login)));
    await screenIs(phone, 'invitation');
    assert.match(await phone.locator('main').innerText(), /Others use\s+Shift phone 2\s+too/);
    await press('Take a place here');
    await screenIs(phone, 'make_passkey');
  };
  const made = async () => {
    await press('Make a passkey');
    await screenIs(phone, 'seated');
  };
  const holds = async (name) => {
    await phone.getByRole('button', { name }).click();
    await screenIs(phone, 'unlock', 'scan', 'camera_off', 'code', 'digits_shown', 'digits_asked', 'statement');
  };
  const unlocks = async () => {
    await press('See what is open');
    await screenIs(phone, 'overview');
  };
  const handsOn = async () => {
    await press('Hand it on');
    await screenIs(phone, 'who');
  };

  before(async () => {
    stage = await Stage.open({ enrolled: false });
    screen = stage.screen.page;
    phone = stage.phone.page;
  });
  after(() => stage?.close());

  test('it gets a key of its own, and people take places on it', async () => {
    await phone.goto(JSON.parse(command('terminal', 'invite', '--name', 'Shift phone 2', '--place', 'Harbour Square', '--class', 'shared-phone', '--json')).link);
    await screenIs(phone, 'register');
    assert.match(await phone.locator('main').innerText(), /Is this phone\s+Shift phone 2/);
    await clear(phone, 'register');
    await picture(phone, 'register');
    await press('Register this phone');
    await screenIs(phone, 'registered');
    await clear(phone, 'registered');
    await press('Go on');
    await screenIs(phone, 'who');
    await phone.getByRole('heading', { name: 'Nobody has a place here yet' }).waitFor();
    await clear(phone, 'nobody');
    await sits('Ana Petrović', 'ana');
    await clear(phone, 'passkey');
    await picture(phone, 'passkey');
    await made();
    await clear(phone, 'seated');
    await sits('Bo Lind', 'bo');
    await made();
    await press('Go on');
    await screenIs(phone, 'who');
    const names = await phone.locator('.people bdi').allInnerTexts();
    assert.deepEqual(names, ['Ana Petrović', 'Bo Lind']);
    await clear(phone, 'who');
    await picture(phone, 'who');
    assert.equal((await passkeys(phone)).length, 2);
    // By keyboard as well, as every page.
    await tabTo(phone, /Ana/);
    await phone.keyboard.press('Enter');
    await screenIs(phone, 'unlock');
  });

  test('one says who they are, scans and approves; nothing of theirs is shown before their passkey', async () => {
    await clear(phone, 'unlock');
    await picture(phone, 'unlock');
    await stage.toSignIn();
    await stage.scan();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    await clear(phone, 'statement');
    await picture(phone, 'statement');
    await stage.approve();
    await screenIs(phone, 'done');
    await screen.waitForURL(`${stage.till.origin}/`);
    await screen.waitForSelector('#person');
    await clear(phone, 'done');
    // The passkey is asked for, and without it nothing comes.
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'unlock');
    await verifies(phone, false);
    await press('See what is open');
    await phone.getByText('No passkey was used. Nothing is shown.').waitFor();
    assert.equal(await phone.evaluate(() => document.body.dataset.screen), 'unlock');
    await verifies(phone, true);
    await unlocks();
    const said = await phone.locator('main').innerText();
    assert.match(said, /Harbour Books Till/);
    assert.ok(!/Add a device|recovery codes|Your devices/i.test(said), said);
    await clear(phone, 'overview');
    await picture(phone, 'overview');
  });

  test('it is handed on, and the other sees nothing of it', async () => {
    await handsOn();
    await holds('Bo Lind');
    await unlocks();
    const said = await phone.locator('main').innerText();
    assert.ok(!said.includes('Harbour Books Till'), said);
    await phone.getByRole('heading', { name: 'Nothing is open' }).waitFor();
    await handsOn();
    // What the page had is gone with it: the way back leads to the question.
    await phone.goBack().catch(() => {});
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'who');
  });

  test('it locks by itself when nobody looks at it, and when nobody touches it', async () => {
    await holds('Ana Petrović');
    await unlocks();
    await phone.clock.install();
    await phone.reload();
    await screenIs(phone, 'unlock', 'overview');
    await phone.clock.fastForward(190_000);
    await phone.waitForLoadState();
    await screenIs(phone, 'who');
    const held = await phone.evaluate(
      () =>
        new Promise((resolve) => {
          const open = indexedDB.open('countersign', 1);
          open.onsuccess = () => {
            const get = open.result.transaction('shelf').objectStore('shelf').get('holder');
            get.onsuccess = () => resolve(get.result ?? null);
          };
        }),
    );
    assert.equal(held, null);
  });

  test('what is not for a shared phone is not there; a way back is for a device of one’s own', async () => {
    await phone.goto(`${stage.issuer}/recover`);
    await screenIs(phone, 'shared_phone');
    await clear(phone, 'shared_phone');
    await press('Back');
    await screenIs(phone, 'who');
    await press('Somebody new');
    await screenIs(phone, 'newcomer');
    await clear(phone, 'newcomer');
    await picture(phone, 'newcomer');
    await phone.goto(`${stage.issuer}/phone`);
  });

  test('one leaves, the other stays; and a phone that is lost ends what was opened', async () => {
    await screenIs(phone, 'who');
    await holds('Bo Lind');
    await unlocks();
    await press('Leave this phone');
    await screenIs(phone, 'leave');
    await clear(phone, 'leave');
    await picture(phone, 'leave');
    await press('Yes, leave');
    await screenIs(phone, 'who');
    assert.deepEqual(await phone.locator('.people bdi').allInnerTexts(), ['Ana Petrović']);
    assert.match(command('terminal', 'seats', 'Shift phone 2'), /active\s+ana[\s\S]*retired\s+bo/);
    const heard = stage.till.heard.length;
    command('terminal', 'lost', 'Shift phone 2');
    await stage.heard(heard + 1);
    assert.equal(await stage.served(), null);
    await holds('Ana Petrović');
    await press('See what is open');
    await screenIs(phone, 'seat_ended');
    await clear(phone, 'seat_ended');
    await picture(phone, 'seat-ended');
    await press('Take my name off this phone');
    await screenIs(phone, 'who');
    await phone.getByRole('heading', { name: 'Nobody has a place here yet' }).waitFor();
    stage.assertClean();
  });
});
