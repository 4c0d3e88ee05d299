// A session lives only while both devices deserve it: the screen shows it before the viewer's eyes, and the phone says why.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { screenIs, Stage } from '../stage/index.js';

describe('while a phone or a network changes', { timeout: 240_000 }, () => {
  let stage;
  let screen;
  let phone;
  let device;
  let session;
  /** A command of the operator beside the running server; a value a line */
  const told = (...words) => stage.server.command(['--json', ...words]).split('\n').filter(Boolean).map((line) => JSON.parse(line));

  before(async () => {
    stage = await Stage.open();
    phone = stage.phone.page;
    await stage.signIn();
    // The page that Countersign itself has for a screen that is signed in, beside the application's.
    screen = await stage.screen.page.context().newPage();
    await screen.goto(`${stage.issuer}/session`);
    [device] = told('device', 'list', 'admin');
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
  });
  after(() => stage?.close());

  const raise = (kind, subject) => told('signal', 'raise', kind, subject)[0];
  const take = (kind, subject) => told('signal', 'clear', kind, subject)[0];
  const rests = (page) => page.locator('#problem:not([hidden])');
  const onPhone = async () => {
    await phone.reload();
    await screenIs(phone, 'overview');
    return phone.locator('.session .notice').allInnerTexts();
  };

  test('t1: what it opened rests while the phone breaks the rules, and goes on afterwards, with nobody touching the screen', async () => {
    assert.equal(await rests(screen).count(), 0);
    assert.equal(raise('device.noncompliant', device.id).changed, true);
    await rests(screen).waitFor({ timeout: 5_000 });
    assert.match(await rests(screen).innerText(), /rests/i);
    assert.match((await onPhone()).join(' '), /does not meet the rules of your organisation/);
    await clear(phone, 'overview, a session rests');
    assert.equal(take('device.noncompliant', device.id).changed, true);
    await screen.waitForSelector('#problem[hidden]', { state: 'attached', timeout: 5_000 });
    assert.deepEqual(await onPhone(), []);
  });

  test('t4: another network asks for a new approval, which the screen says and the phone explains', async () => {
    session = told('log', 'tail', '-n', '200').map((line) => line.event).find((event) => event.kind === 'session.opened').session;
    raise('session.network_changed', session);
    await rests(screen).waitFor({ timeout: 5_000 });
    assert.match((await onPhone()).join(' '), /The network changed/);
    take('session.network_changed', session);
    await screen.waitForSelector('#problem[hidden]', { state: 'attached', timeout: 5_000 });
  });

  test('t1: a phone that falls takes the screen and the application with it', async () => {
    const { txn } = raise('device.compromised', device.id);
    await screen.getByRole('heading', { name: 'This session has ended' }).waitFor({ timeout: 5_000 });
    await stage.heard(1);
    assert.equal(await stage.served(), null, 'the application still serves');
    const kinds = told('log', 'txn', txn).map((line) => line.event.kind);
    assert.ok(kinds.includes('signal.raised') && kinds.includes('session.ended'), kinds.join(' '));
  });
});
