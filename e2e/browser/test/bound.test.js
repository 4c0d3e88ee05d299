// A session that the browser binds to a key of its own (Device Bound Session Credentials), by itself: no page of ours does
// anything for it. Whether a build of Chromium can is found out first. Where it cannot, this is skipped, and counted: what
// the server does is tested in crates/sim/tests/attacks/bound.rs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS } from '../stage/browser.js';
import { Stage, SUITE } from '../stage/index.js';

/** Keys in software stand in for a security chip, which a test machine has not. */
const FLAGS = ['--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting'];
const COOKIE = '__Host-cs_d';
/** A browser that can binds a session within moments */
const OFFERED_MS = 15_000;

describe('a session that the browser binds', SUITE, () => {
  let stage;
  let bound = false;
  const told = (...words) => stage.server.command(['--json', ...words]).split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const isBound = () => told('log', 'tail', '-n', '200').some((line) => line.event.kind === 'session.bound');
  const context = () => stage.screen.context;
  const cookie = async () => (await context().cookies(stage.issuer)).find((one) => one.name === COOKIE);
  /** Waits until something is so, and not for ever */
  const until = async (so, patience_ms = PATIENCE_MS) => {
    const end = Date.now() + patience_ms;
    while (!(await so()) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 200));
  };

  /** Skips where the browser did not answer the offer. */
  const able = (t) => {
    if (!bound) t.skip(`Chromium ${context().browser()?.version() ?? ''} ignores the offer of a bound session`);
    return bound;
  };

  before(async () => {
    stage = await Stage.open({ screen: { flags: FLAGS } });
    await stage.signIn();
    await until(() => (bound = isBound()), OFFERED_MS);
  });
  after(() => stage?.close());

  test('x25: it gets a cookie of ten minutes, which it renews by its key when something needs it', async (t) => {
    if (!able(t)) return;
    const first = await cookie();
    const left_s = first.expires - Date.now() / 1000;
    assert.ok(first.httpOnly && first.secure && left_s > 500 && left_s <= 600, JSON.stringify(first));
    await context().clearCookies({ name: COOKIE });
    const page = await stage.screen.another();
    const [answer] = await Promise.all([page.waitForResponse((one) => one.url().endsWith('/session/beat')), page.goto(`${stage.issuer}/session`)]);
    assert.equal(answer.status(), 200);
    assert.ok(await page.locator('#sign-out').isVisible());
    assert.ok((await cookie()).value !== first.value);
    await page.close();
  });

  test('x25: while trust in its phone has fallen it gets none, and afterwards it does', async (t) => {
    if (!able(t)) return;
    const [device] = told('device', 'list', 'admin');
    const page = await stage.screen.another();
    told('signal', 'raise', 'device.noncompliant', device.id);
    await context().clearCookies({ name: COOKIE });
    await page.goto(`${stage.issuer}/session`);
    assert.equal(await page.locator('#sign-out').count(), 0, 'a name is shown to whoever has the cookie');
    assert.equal(await cookie(), undefined);
    told('signal', 'clear', 'device.noncompliant', device.id);
    await until(async () => (await page.goto(`${stage.issuer}/session`), page.locator('#sign-out').count()));
    assert.equal(await page.locator('#sign-out').count(), 1);
    assert.ok(await cookie());
  });

  test('x25: signing out ends the binding as well', async (t) => {
    if (!able(t)) return;
    const page = await stage.screen.another();
    await page.goto(`${stage.issuer}/session`);
    await page.click('#sign-out');
    await page.getByRole('heading', { name: 'Signed out' }).waitFor();
    assert.equal(await cookie(), undefined);
    stage.assertClean();
  });
});
