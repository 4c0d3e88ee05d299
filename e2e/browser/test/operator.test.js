// The operator's page: signed in by phone like any other, live, by keyboard, and for everybody's eyes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { clear, seen, tabTo } from '../stage/access.js';
import { Browser } from '../stage/browser.js';
import { cardIs, enrol, screenIs, Stage, SUITE } from '../stage/index.js';

describe("the operator's page", SUITE, () => {
  let stage;
  let screen;
  let phone;
  let theirs;
  let ref;
  const told = (...words) => stage.server.command(['--json', ...words]).split('\n').filter(Boolean).map((line) => JSON.parse(line));

  before(async () => {
    stage = await Stage.open();
    screen = stage.screen.page;
    phone = stage.phone.page;
    theirs = await Browser.launch({ phone: true });
    await enrol(theirs.page, told('invite', 'Vera Lind', 'vera')[0].link, 'Vera’s phone');
  });
  after(async () => {
    await theirs?.close();
    await stage?.close();
  });

  const signIn = async () => {
    await screen.getByRole('button', { name: /Sign in/ }).click();
    await cardIs(screen, 'waiting');
    await screen.waitForSelector('.tile svg path[d*="M"]', { state: 'attached' });
    await stage.scan();
  };

  test('the page says who it is for, and whoever is not an operator is told on the phone', async () => {
    await screen.goto(`${stage.issuer}/operator`);
    await screenIs(screen, 'operator_no_session');
    await clear(screen, 'operator, nobody signed in');
    await signIn();
    assert.equal(await screenIs(phone, 'denied'), 'denied');
    assert.match(await phone.locator('main').innerText(), /not one of those who run this server/);
    assert.equal(await cardIs(screen, 'waiting'), 'waiting');
  });

  test('an operator gets in by phone, and hears of a refusal as it happens', async () => {
    stage.server.command(['person', 'role', 'admin', 'operator']);
    await screen.goto(`${stage.issuer}/operator`);
    await screenIs(screen, 'operator_no_session');
    await signIn();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    assert.match(await phone.locator('main').innerText(), /The operator's page/);
    await stage.approve();
    await screenIs(screen, 'operator');
    assert.equal(new URL(screen.url()).search, '', 'nothing stays in the address');
    const before = await screen.locator('#lines li').count();
    const answer = await fetch(`${stage.issuer}/device/scans`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
    ({ ref } = await answer.json());
    await screen.locator('#lines li', { hasText: ref }).waitFor();
    assert.ok((await screen.locator('#lines li').count()) > before);
    assert.match(await screen.locator('#lines li', { hasText: ref }).innerText(), /A key was not proved as it must be/);
    assert.ok(!(await screen.locator('main').innerText()).includes('Vera'), 'the list names nobody');
    await clear(screen, 'operator, what happened');
  });

  test('by keyboard: a reference leads to the refusal, a login name to the person', async () => {
    await screen.locator('h1').focus();
    await tabTo(screen, /Reference or login name/);
    await screen.keyboard.type('R-000-000-000');
    await screen.keyboard.press('Enter');
    await screen.getByRole('alert').filter({ hasText: 'Nothing is recorded' }).waitFor();
    await screen.keyboard.press('ControlOrMeta+a');
    await screen.keyboard.type(ref.toLowerCase());
    await screen.keyboard.press('Enter');
    await screenIs(screen, 'operator_refusal');
    await clear(screen, 'operator, a refusal');
    await tabTo(screen, /^Back$/);
    await screen.keyboard.press('Enter');
    await screenIs(screen, 'operator');
    await tabTo(screen, /Reference or login name/);
    await screen.keyboard.type('vera');
    await screen.keyboard.press('Enter');
    await screenIs(screen, 'operator_person');
    assert.match(await screen.locator('main').innerText(), /Vera Lind[\s\S]*Vera’s phone[\s\S]*It does not report by itself/);
    await clear(screen, 'operator, a person');
  });

  test('a phone is stopped after being asked once more, and its owner sees it', async () => {
    await screen.getByRole('button', { name: 'Stop Vera’s phone' }).click();
    await screenIs(screen, 'operator_sure');
    await clear(screen, 'operator, sure?');
    await screen.getByRole('button', { name: 'Leave it' }).click();
    await screenIs(screen, 'operator_person');
    await screen.getByRole('button', { name: 'Look back at Vera’s phone' }).click();
    await screenIs(screen, 'operator_touched');
    await clear(screen, 'operator, looking back');
    await screen.getByRole('button', { name: 'Back', exact: true }).click();
    await screen.getByRole('button', { name: 'Help them get back in' }).click();
    await screen.getByRole('button', { name: 'Tell their devices' }).click();
    await screenIs(screen, 'operator_recovery');
    await clear(screen, 'operator, getting back in');
    await theirs.page.goto(`${stage.issuer}/phone`);
    await theirs.page.getByRole('heading', { name: 'Someone asks to get back in as you' }).waitFor();
    await screen.getByRole('button', { name: 'Back', exact: true }).click();
    await screenIs(screen, 'operator_person');
    await screen.getByRole('button', { name: 'Stop Vera’s phone' }).click();
    await screen.getByRole('button', { name: 'Stop it' }).click();
    await screenIs(screen, 'operator_person');
    assert.equal(await screen.locator('.device .chip').innerText(), 'Stopped');
    const acts = told('log', 'tail', '-n', '100').map((line) => line.event).filter((event) => event.kind === 'operator.acted');
    assert.deepEqual(acts.map((event) => event.facts.act), ['begin_recovery', 'suspend_device']);
    await theirs.page.reload();
    await screenIs(theirs.page, 'overview');
    assert.ok(!(await theirs.page.locator('main').innerText()).includes('Ready'));
  });

  test('what a phone touched is ended in one act', async () => {
    stage.server.command(['device', 'resume', told('device', 'list', 'vera')[0].id]);
    const shop = await Browser.launch();
    try {
      await stage.toSignIn(shop.page);
      await stage.scan({ from: shop.page, on: theirs.page, browser: theirs });
      await stage.typeDigits({ shown: theirs.page, asked: shop.page });
      await stage.approve(theirs.page);
      await shop.page.waitForSelector('#person');
      await screen.getByRole('button', { name: 'Look back at Vera’s phone' }).click();
      await screenIs(screen, 'operator_touched');
      await screen.getByRole('button', { name: 'End all that lives' }).click();
      await screenIs(screen, 'operator_sure');
      await screen.getByRole('button', { name: 'End all of it' }).click();
      await screenIs(screen, 'operator_undone');
      await clear(screen, 'operator, all ended');
      assert.equal(await stage.served(shop.page), null, 'the application still serves');
      await screen.getByRole('button', { name: 'Back', exact: true }).click();
      await screenIs(screen, 'operator_person');
    } finally {
      await shop.close();
    }
  });

  test('whatever stands in the way is said in words', async () => {
    const page = await stage.screen.another();
    for (const code of ['step_up', 'locked', 'gone', 'denied']) {
      await page.route('**/operator/lines*', (route) => route.fulfill({ status: 409, json: { code, ref: 'R-481-720-936' } }));
      await page.goto(`${stage.issuer}/operator`);
      await screenIs(page, `operator_${code}`);
      await clear(page, `operator, ${code}`);
      await page.unroute('**/operator/lines*');
    }
    await page.route('**/operator/lines*', () => {});
    await page.goto(`${stage.issuer}/operator`);
    await screenIs(page, 'operator_waiting');
    await clear(page, 'operator, waiting');
    await page.unroute('**/operator/lines*');
    await screenIs(page, 'operator');
    await page.route('**/operator/people/look', (route) => route.fulfill({ status: 503, json: { code: 'unavailable', ref: 'R-481-720-936' } }));
    await page.fill('#look', 'vera');
    await page.press('#look', 'Enter');
    await screenIs(page, 'operator_failed');
    await clear(page, 'operator, out of order');
    await page.close();
  });

  test('a role that is taken away closes the page before the viewer’s eyes', async () => {
    await screen.getByRole('button', { name: 'Back', exact: true }).click();
    await screenIs(screen, 'operator');
    stage.server.command(['person', 'role', 'admin', 'administrator']);
    await screenIs(screen, 'operator_denied', 'operator_gone', 'operator_no_session');
    assert.equal(await screen.locator('#lines').count(), 0);
    await clear(screen, 'operator, no more');
    assert.deepEqual(stage.screen.complaints.filter((one) => !/status of (401|403|404|410|503)/.test(one)), []);
  });

  test('every state of this page was looked at', () => {
    const folder = new URL('../../../web/script/', import.meta.url);
    const text = readdirSync(folder).filter((name) => name.startsWith('operator')).map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
    const drawn = [...text.matchAll(/screen\(\{\s*name: '([a-z_]+)'/g)].map(([, name]) => name);
    const gates = [...text.matchAll(/^ {2}([a-z_]+): \['operator\.[a-z_]+\.headline'/gm)].map(([, code]) => `operator_${code}`);
    assert.ok(drawn.length > 8 && gates.length === 5, 'the scripts are read as they are written');
    assert.deepEqual([...drawn, ...gates].filter((name) => !seen.has(`phone:${name}`)), []);
  });
});
