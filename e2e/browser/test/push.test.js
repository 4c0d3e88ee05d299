// Asking a phone by its person's login name instead of showing it a code: six digits travel from the screen to the phone.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from '../stage/browser.js';
import { cardIs, screenIs, shownDigits, Stage, SUITE } from '../stage/index.js';

describe('asking a phone by name', SUITE, () => {
  let stage;
  let screen;
  let phone;

  before(async () => {
    stage = await Stage.open();
    screen = stage.screen.page;
    phone = stage.phone.page;
  });
  after(() => stage?.close());

  const ask = async (login, page = screen) => {
    await stage.toSignIn(page);
    assert.equal(await page.locator('input').count(), 0, 'nobody is asked for a name who did not press for it');
    await page.click('#ask-link');
    await cardIs(page, 'ask');
    await page.fill('#login', login);
    await page.press('#login', 'Enter');
    return cardIs(page, 'offered', 'too_many');
  };
  const waiting = () => phone.getByRole('heading', { name: 'Harbour Books Till asks for you' });

  test('the request waits on an open page of the phone, the digits are typed there, and the name is greeted', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    assert.equal(await ask('Admin '), 'offered');
    await waiting().waitFor();
    await phone.getByRole('button', { name: 'Look at it' }).click();
    await screenIs(phone, 'digits_asked');
    await cardIs(screen, 'type_there');
    const digits = await shownDigits(screen);
    assert.match(digits, /^\d{6}$/);
    await phone.fill('input[name="digits"]', digits);
    await phone.press('input[name="digits"]', 'Enter');
    await stage.approve();
    await cardIs(screen, 'greeting');
    assert.equal(await stage.till.sessions.size, 0, 'nothing reaches the application before the name is confirmed');
    await screen.getByRole('button', { name: 'Continue as Administrator' }).click();
    await screen.waitForSelector('#person');
    const [session] = [...stage.till.sessions.values()];
    assert.equal(session.cs.channel, 'push');
    assert.equal(session.acr, 'urn:countersign:acr:xd2-push');
    await phone.getByRole('button', { name: 'End it now' }).click();
    await screenIs(phone, 'ended');
    await stage.heard(1);
  });

  test('a name that nobody has looks the same, the second time too', async () => {
    const other = await Browser.launch();
    try {
      for (const login of ['admin', 'nobody']) {
        assert.equal(await ask(login), 'offered');
        const said = await screen.locator('#code-card').innerText();
        assert.equal(await ask(login, other.page), 'too_many', login);
        await screen.getByRole('button', { name: 'Show the code to scan' }).click();
        await cardIs(screen, 'waiting');
        assert.match(said.replace(/\d/g, ''), /^Look at your phone\s+Open localhost:\/phone there\. If that was your login name, it asks for you now\.\s+About  minutes left\s+Show the code to scan$/);
      }
    } finally {
      await other.close();
    }
  });

  test('while the camera looks for a code, a request waits above it, and “No” ends it on both sides', async () => {
    await phone.goto(`${stage.issuer}/q`);
    await screenIs(phone, 'scan');
    assert.equal(await ask('admin'), 'offered');
    await waiting().waitFor();
    await phone.getByRole('button', { name: 'No' }).click();
    await screenIs(phone, 'refused');
    await cardIs(screen, 'refused');
    assert.equal(await stage.served(), null);
    await phone.getByRole('button', { name: 'This was not me' }).click();
    await screenIs(phone, 'not_me');
  });

  test('a screen that somebody stopped is not shown again', async () => {
    await phone.goto(`${stage.issuer}/code`);
    await screenIs(phone, 'code');
    const looked = phone.waitForResponse((answer) => answer.url().endsWith('/device/pending') && answer.ok());
    assert.equal(await ask('admin'), 'offered');
    await looked;
    await phone.waitForResponse((answer) => answer.url().endsWith('/device/pending') && answer.ok());
    await phone.waitForTimeout(300);
    assert.equal(await waiting().count(), 0);
  });

  test('everything stayed on this server, and nothing complained', () => stage.assertClean());
});
