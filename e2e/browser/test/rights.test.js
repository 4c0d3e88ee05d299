// A right that is given for a while: read on the phone before it is approved, seen there while it lives, and taken back.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { screenIs, Stage } from '../stage/index.js';

/** Pictures, for whoever wants to look: at a phone's size and a desk's, light and dark */
async function pictures(page, name) {
  if (!process.env.PICTURES) return;
  mkdirSync(process.env.PICTURES, { recursive: true });
  const size = page.viewportSize();
  for (const [width, height] of [[390, 844], [1280, 800]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(process.env.PICTURES, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(size);
}

describe('rights for a while', { timeout: 240_000 }, () => {
  let stage;
  let screen;
  let phone;

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
    await pictures(phone, 'right-statement');
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
    await pictures(phone, 'right-overview');
    await phone.getByRole('button', { name: /^Take back refund/ }).click();
    await phone.waitForFunction(() => document.querySelectorAll('.timed li').length === 0);
    assert.equal(await phone.locator('.session').count(), 1, 'the session goes on');
    assert.ok(stage.server.command(['--json', 'log', 'tail']).includes('right.ended'));
    stage.assertClean();
  });
});
