// More than a sign-in: a payment is read before it is approved, and a running session is asked to be raised for it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { screenIs, Stage, SUITE } from '../stage/index.js';

const payment = { type: 'payment', amount: '249.00', currency: 'EUR', to: 'Harbour Books GmbH', account: 'DE89370400440532013000', reference: 'Order 10482' };

describe('details and step-up', SUITE, () => {
  let stage;
  let screen;
  let phone;

  before(async () => {
    stage = await Stage.open();
    screen = stage.screen.page;
    phone = stage.phone.page;
  });
  after(() => stage?.close());

  test('a payment is read on the phone in words, and the till gets it as it was read', async () => {
    await stage.toSignIn(screen, new URLSearchParams({ authorization_details: JSON.stringify([payment]) }).toString());
    assert.equal(await screen.locator('#passkey').count(), 0, 'a passkey on this screen signs nothing that was read');
    await stage.scan();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    const said = await phone.locator('main').innerText();
    for (const text of ['Pay', '249.00 EUR', 'Harbour Books GmbH', 'DE89370400440532013000', 'Order 10482']) {
      assert.ok(said.includes(text), `the statement says “${text}”: ${said}`);
    }
    await clear(phone, 'a payment');
    await stage.approve();
    await screen.waitForURL(`${stage.till.origin}/`);
    const [session] = [...stage.till.sessions.values()];
    assert.ok(session.sid);
  });

  test('a session that is too old is raised on the phone and stays the same session', async () => {
    const [before] = [...stage.till.sessions.values()];
    stage.till.sessions.clear();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await stage.toSignIn(screen, 'max_age=0');
    await stage.scan();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    assert.match(await phone.locator('h1').innerText(), /again|raise|confirm/i, 'the question is not that of a sign-in');
    await clear(phone, 'a step up');
    await stage.approve();
    await screen.waitForURL(`${stage.till.origin}/`);
    const [raised] = [...stage.till.sessions.values()];
    assert.equal(raised.sid, before.sid);
    assert.ok(raised.auth_time > before.auth_time);
    assert.equal(stage.till.heard.length, 0, 'nothing ended');
  });
});
