// The way a person goes: from the till, over a code read out of pixels, to an open till, and back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { cardIs, screenIs, shownDigits, Stage, SUITE } from '../stage/index.js';

describe('signing in', SUITE, () => {
  let stage;
  let screen;
  let phone;

  before(async () => {
    stage = await Stage.open();
    screen = stage.screen.page;
    phone = stage.phone.page;
  });
  after(() => stage?.close());

  test('a camera sees two live frames, digits are typed, a passkey approves, and the till is open', async () => {
    await stage.toSignIn();
    assert.equal(await screen.title(), 'Sign in · Harbour Books Till');
    await stage.scan();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    await cardIs(screen, 'scanned');
    const said = await phone.locator('main').innerText();
    for (const text of ['unknown screen', 'Harbour Books Till', 'localhost', 'On the same network as this phone.', 'Refuse if you did not start this']) {
      assert.ok(said.includes(text), `the statement says “${text}”: ${said}`);
    }
    await stage.approve();
    await screenIs(phone, 'done');
    await screen.waitForURL(`${stage.till.origin}/`);
    const [session] = [...stage.till.sessions.values()];
    assert.equal(await screen.textContent('#sub'), session.sub);
    assert.equal(await screen.textContent('#person'), 'Administrator');
    assert.equal(session.acr, 'urn:countersign:acr:xd2');
    assert.equal(session.cs.channel, 'pair', 'both frames were read out of pixels');
  });

  test('who is signed in here comes back without a code', async () => {
    stage.till.sessions.clear();
    await screen.goto(`${stage.till.origin}/login`);
    await screen.waitForURL(`${stage.till.origin}/`);
    assert.equal(stage.till.sessions.size, 1);
  });

  test('the answer comes as a form where the application asks for it', async () => {
    stage.till.sessions.clear();
    await screen.goto(`${stage.till.origin}/login?response_mode=form_post`);
    await screen.waitForURL(`${stage.till.origin}/`);
    assert.deepEqual([stage.till.sessions.size, stage.till.forms], [1, 1]);
  });

  test('where nobody may be asked, the session answers', async () => {
    stage.till.sessions.clear();
    await screen.goto(`${stage.till.origin}/login?prompt=none`);
    await screen.waitForURL(`${stage.till.origin}/`);
    assert.equal(stage.till.sessions.size, 1);
  });

  test('the phone ends it, and the till is told', async () => {
    await phone.getByRole('button', { name: 'End it now' }).click();
    await screenIs(phone, 'ended');
    await stage.heard(1);
    assert.equal(await stage.served(), null);
    await screen.goto(`${stage.till.origin}/login?prompt=none`);
    await screen.waitForURL(`${stage.till.origin}/?why=login_required`);
    await stage.toSignIn();
  });

  test('a code that is typed opens the till as well', async () => {
    await stage.toSignIn();
    assert.match(await stage.typeCode(), /^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/);
    await stage.typeDigits();
    await stage.approve();
    await screen.waitForSelector('#person');
    assert.equal([...stage.till.sessions.values()][0].cs.channel, 'user_code');
  });

  test('signing out at the screen ends it everywhere', async () => {
    const told = stage.till.heard.length;
    await screen.goto(`${stage.issuer}/session`);
    await screen.click('#sign-out');
    await screen.getByRole('heading', { name: 'Signed out' }).waitFor();
    await stage.heard(told + 1);
    assert.equal(await stage.served(), null);
  });

  test('the application may end it, and the person comes back to it', async () => {
    await stage.signIn();
    await screen.click('#logout');
    const asked = screen.getByRole('button', { name: 'Sign out' });
    await Promise.race([asked.waitFor().then(() => asked.click()), screen.waitForURL(`${stage.till.origin}/`)]).catch(() => {});
    await screen.waitForURL((url) => url.origin === stage.till.origin);
    await stage.toSignIn();
  });

  test('digits that do not match are said so, and the next try is good', async () => {
    await stage.toSignIn();
    await stage.scan();
    const digits = await shownDigits(phone);
    await cardIs(screen, 'type_here');
    await screen.fill('input[name="digits"]', digits.replace(/./, (first) => (Number(first) + 1) % 10));
    await screen.press('input[name="digits"]', 'Enter');
    await screen.getByRole('heading', { name: 'Those digits do not match' }).waitFor();
    assert.match(await screen.locator('#code-card').innerText(), /2 tries left/);
    await stage.typeDigits();
    await stage.approve();
    await screen.waitForSelector('#person');
    await phone.getByRole('button', { name: 'End it now' }).click();
    await screenIs(phone, 'ended');
  });

  test('digits that are wrong three times end it', async () => {
    await stage.toSignIn();
    await stage.scan();
    const digits = await shownDigits(phone);
    const wrong = digits.replace(/./, (first) => (Number(first) + 1) % 10);
    for (let tries = 3; tries > 0; tries -= 1) {
      await screen.waitForFunction((n) => n === 3 || document.querySelector('#code-card').textContent.includes(`${n} tr`), tries);
      await screen.fill('input[name="digits"]', wrong);
      await screen.press('input[name="digits"]', 'Enter');
    }
    await cardIs(screen, 'refused');
    await screenIs(phone, 'refused', 'denied', 'wrong_code');
  });

  test('a passkey that the person does not confirm opens nothing, and may be tried again', async () => {
    const { verifies } = await import('../stage/browser.js');
    await stage.toSignIn();
    await stage.scan();
    await stage.typeDigits();
    await verifies(phone, false);
    await stage.approve();
    await screenIs(phone, 'passkey_failed');
    await cardIs(screen, 'scanned');
    await verifies(phone, true);
    await phone.getByRole('button', { name: 'Try again' }).click();
    await screenIs(phone, 'done');
    await screen.waitForSelector('#person');
  });

  test('a name that is not one’s own is answered with “Not me”, and what was opened ends at once', async () => {
    const told = stage.till.heard.length;
    await phone.getByRole('button', { name: 'End it now' }).click();
    await stage.heard(told + 1);
    // Where a request is sent to a phone, nothing is typed on the screen: it asks whose name that is.
    const offered = (route) => route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), offer: 'admin' }) });
    await screen.route('**/ceremonies', offered);
    await stage.toSignIn();
    await phone.goto(`${stage.issuer}/phone`);
    await phone.getByRole('button', { name: 'Look at it' }).click();
    await screenIs(phone, 'digits_asked');
    await cardIs(screen, 'type_there');
    await phone.fill('input[name="digits"]', await shownDigits(screen));
    await phone.press('input[name="digits"]', 'Enter');
    await stage.approve();
    await cardIs(screen, 'greeting');
    assert.match(await screen.locator('#code-card').innerText(), /You are Administrator/);
    await screen.unroute('**/ceremonies', offered);
    await screen.getByRole('button', { name: 'Not me' }).click();
    await cardIs(screen, 'not_me');
    await phone.goto(`${stage.issuer}/phone`);
    await phone.getByRole('heading', { name: 'Nothing is open' }).waitFor();
    assert.equal(await stage.served(), null);
    // Neither a reload nor the application's own link comes back to that session.
    await stage.toSignIn();
  });

  test('everything stayed on this server, and nothing complained', () => {
    stage.assertClean();
  });
});
