// A session lives only while both devices deserve it: the screen shows it before the viewer's eyes, and the phone says why.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { clear } from '../stage/access.js';
import { cardIs, screenIs, Stage, SUITE } from '../stage/index.js';
import { program } from '../stage/server.js';

describe('while a phone or a network changes', SUITE, () => {
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
    await rests(screen).waitFor();
    assert.match(await rests(screen).innerText(), /rests/i);
    assert.match((await onPhone()).join(' '), /does not meet the rules of your organisation/);
    await clear(phone, 'overview, a session rests');
    assert.equal(take('device.noncompliant', device.id).changed, true);
    await screen.waitForSelector('#problem[hidden]', { state: 'attached' });
    assert.deepEqual(await onPhone(), []);
  });

  test('t4: another network asks for a new approval, which the screen says and the phone explains', async () => {
    session = told('log', 'tail', '-n', '200').map((line) => line.event).find((event) => event.kind === 'session.opened').session;
    raise('session.network_changed', session);
    await rests(screen).waitFor();
    assert.match((await onPhone()).join(' '), /The network changed/);
    take('session.network_changed', session);
    await screen.waitForSelector('#problem[hidden]', { state: 'attached' });
  });

  test('t1: a phone that falls takes the screen and the application with it', async () => {
    const { txn } = raise('device.compromised', device.id);
    await screen.getByRole('heading', { name: 'This session has ended' }).waitFor();
    await stage.heard(1);
    assert.equal(await stage.served(), null, 'the application still serves');
    const kinds = told('log', 'txn', txn).map((line) => line.event.kind);
    assert.ok(kinds.includes('signal.raised') && kinds.includes('session.ended'), kinds.join(' '));
  });
});

describe('a phone that breaks the rules', SUITE, () => {
  let stage;
  let phone;
  let device;
  const told = (...words) => JSON.parse(stage.server.command(['--json', ...words]));
  const news = (verb) => assert.equal(told('signal', verb, 'device.noncompliant', device.id).changed, true);

  before(async () => {
    stage = await Stage.open();
    phone = stage.phone.page;
    device = told('device', 'list', 'admin');
  });
  after(() => stage?.close());

  test('a8: a phone that breaks the rules is refused with words, before the statement and after it', async () => {
    await stage.toSignIn();
    news('raise');
    await stage.scan();
    assert.equal(await screenIs(phone, 'denied'), 'denied');
    assert.match(await phone.locator('main').innerText(), /does not meet the rules of your organisation/);
    await clear(phone, 'refused, out of posture');
    assert.equal(await cardIs(stage.screen.page, 'waiting'), 'waiting', 'the screen learns nothing of it');
    news('clear');
    // In order again it reads the statement; then it falls, and no press helps.
    await stage.toSignIn();
    await stage.scan();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    await phone.waitForSelector('#approve:not([aria-disabled])');
    news('raise');
    await cardIs(stage.screen.page, 'refused', 'closed');
    await phone.click('#approve');
    await screenIs(phone, 'gone');
    assert.match(await phone.locator('main').innerText(), /does not meet the rules of your organisation/);
    news('clear');
  });
});

describe('while a device program speaks', SUITE, () => {
  // Long enough for a program on a busy machine to speak in time.
  const EVERY_S = 4;
  const MISSES = 2;
  /** What a busy server may add */
  const LATE_MS = 5_000;
  let stage;
  let folder;
  let speaking;
  const device = async (...words) => JSON.parse((await promisify(execFile)(program('countersign-device'), ['--state', folder, '--json', ...words])).stdout);

  before(async () => {
    stage = await Stage.open({ top: `heartbeat_s = ${EVERY_S}\nheartbeat_misses = ${MISSES}` });
    folder = mkdtempSync(join(tmpdir(), 'countersign-device-'));
    const { link } = JSON.parse(stage.server.command(['--json', 'invite', 'Ana Petrović', 'ana']));
    await device('enrol', link);
    speaking = spawn(program('countersign-device'), ['--state', folder, '--json', 'watch'], { stdio: 'ignore' });
  });
  after(async () => {
    speaking?.kill('SIGKILL');
    await stage?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  test('t3: when it falls silent the screen rests and then closes before the viewer’s eyes, within the bound', async () => {
    const till = stage.screen.page;
    await stage.toSignIn();
    await till.click('#typed-link');
    const asked = await device('scan', await till.locator('.state .typed').innerText());
    if (asked.ask !== 'none') {
      await till.waitForSelector('#code-card[data-state="type_here"] input[name="digits"]');
      await till.fill('input[name="digits"]', asked.digits);
      await till.press('input[name="digits"]', 'Enter');
    }
    await device('approve');
    await till.waitForURL(`${stage.till.origin}/`);
    const screen = await till.context().newPage();
    await screen.goto(`${stage.issuer}/session`);
    // As long as it speaks nothing ends, for longer than the bound.
    const bound_ms = EVERY_S * MISSES * 1000 + 1_000;
    await screen.waitForTimeout(bound_ms + 1_000);
    assert.equal(await screen.locator('#problem:not([hidden])').count(), 0);
    assert.equal(await stage.served(), 'Ana Petrović');
    const last = Date.now();
    speaking.kill('SIGKILL');
    await screen.locator('#problem:not([hidden])').waitFor();
    assert.match(await screen.locator('#problem').innerText(), /rests[\s\S]*Your phone says why/);
    await screen.getByRole('heading', { name: 'This session has ended' }).waitFor();
    // By the server's clock: what a page needs to hear of it is beside the bound.
    const events = stage.server.command(['--json', 'log', 'tail', '-n', '50']).split('\n').filter(Boolean).map((line) => JSON.parse(line).event);
    const after_ms = events.find(({ kind }) => kind === 'session.ended').at / 1_000 - last;
    assert.ok(after_ms > EVERY_S * 1_000 && after_ms < bound_ms + LATE_MS, `${after_ms} ms after its last word`);
    await stage.heard(1);
    assert.equal(await stage.served(), null, 'the application still serves');
  });
});
