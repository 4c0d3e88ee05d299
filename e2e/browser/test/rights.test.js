// A right that is given for a while: read on the phone before it is approved, seen there while it lives, and taken back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { screenIs, Stage, SUITE } from '../stage/index.js';
import { pictures } from '../stage/pictures.js';

describe('rights for a while', SUITE, () => {
  let stage;
  let screen;
  let phone;
  const picture = pictures('right');

  before(async () => {
    const registered = 'just_in_time = [{ scope = "refund", roles = ["administrator"], for_s = 600 }]';
    stage = await Stage.open({ scope: 'openid profile refund', registered });
    screen = stage.screen.page;
    phone = stage.phone.page;
  });
  after(() => stage?.close());

  test('the phone says what opens, for how long and where, before it is approved', async () => {
    await stage.toSignIn();
    await stage.scan();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    const said = await phone.locator('main').innerText();
    for (const text of ['Opens for a while', 'refund', 'For 10 minutes from now, on this screen only']) {
      assert.ok(said.includes(text), `the statement says “${text}”: ${said}`);
    }
    await clear(phone, 'a right for a while');
    await picture(phone, 'statement');
    await stage.approve();
    await screen.waitForURL(`${stage.till.origin}/`);
  });

  test('it is seen while it lives, with its time, and taken back', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    const one = phone.locator('.timed li');
    assert.equal(await one.count(), 1);
    assert.match(await one.innerText(), /refund[^]*(10|9) minutes left, until/);
    await clear(phone, 'a session with a right');
    await picture(phone, 'overview');
    await phone.getByRole('button', { name: /^Take back refund/ }).click();
    await phone.waitForFunction(() => document.querySelectorAll('.timed li').length === 0);
    assert.equal(await phone.locator('.session').count(), 1, 'the session goes on');
    assert.ok(stage.server.command(['--json', 'log', 'tail']).includes('right.ended'));
    stage.assertClean();
  });
});
