// A phone is told that something waits while nobody looks at its page. Chromium reaches no push service here, so one of our own takes
// its part, and the browser's half of a subscription is played; the worker is Chromium's own, woken by its debugger. What the server
// sent is opened by `http_ece`, which is nobody's here.
import assert from 'node:assert/strict';
import { createECDH, createPublicKey, randomBytes, verify } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import ece from 'http_ece';
import { clear } from '../stage/access.js';
import { PATIENCE_MS } from '../stage/browser.js';
import { cardIs, screenIs, Stage, SUITE } from '../stage/index.js';
import { pictures } from '../stage/pictures.js';

/** A push service that takes everything */
async function bell() {
  const came = [];
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      came.push({ path: request.url, headers: request.headers, body: Buffer.concat(parts) });
      response.writeHead(201).end();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { came, host: `127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Plays the push service's part of a subscription; what was subscribed outlives the page. */
function played({ endpoint, p256dh, auth }) {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0)).buffer;
  const kept = () => globalThis.localStorage.getItem('played');
  const made = (key) => ({
    endpoint,
    options: { applicationServerKey: Uint8Array.from(key.split(','), Number).buffer, userVisibleOnly: true },
    getKey: (name) => bytes(name === 'auth' ? auth : p256dh),
    unsubscribe: async () => (globalThis.localStorage.removeItem('played'), true),
  });
  PushManager.prototype.getSubscription = async () => (kept() ? made(kept()) : null);
  PushManager.prototype.subscribe = async ({ applicationServerKey, userVisibleOnly }) => {
    if (!userVisibleOnly) throw new TypeError('in silence');
    globalThis.localStorage.setItem('played', String(new Uint8Array(applicationServerKey)));
    return made(kept());
  };
}

describe('a phone that is told', SUITE, () => {
  let stage;
  let screen;
  let phone;
  let service;
  const keys = createECDH('prime256v1');
  const auth = randomBytes(16).toString('base64url');
  const picture = pictures('tell');
  const section = () => phone.locator('#tell');

  const overview = async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
  };
  const ask = async () => {
    await stage.toSignIn(screen);
    await screen.click('#ask-link');
    await cardIs(screen, 'ask');
    await screen.fill('#login', 'admin');
    await screen.press('#login', 'Enter');
    await cardIs(screen, 'offered');
  };
  const rung = async (count) => {
    const until = Date.now() + PATIENCE_MS;
    while (service.came.length < count && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
    return service.came.length;
  };

  before(async () => {
    service = await bell();
    keys.generateKeys();
    stage = await Stage.open({ top: `[push]\ncontact = "mailto:help@harbour.example"\nhosts = ["${service.host}"]\n` });
    screen = stage.screen.page;
    phone = stage.phone.page;
    await stage.phone.context.addInitScript(played, { endpoint: `http://${service.host}/for/phone`, p256dh: keys.getPublicKey('base64url'), auth });
  });
  after(async () => {
    await stage?.close();
    service?.close();
  });

  test('nobody is asked for permission before they press, and a browser that says no is explained', async () => {
    await phone.addInitScript(() => {
      globalThis.asked = 0;
      const real = Notification.requestPermission;
      Notification.requestPermission = async () => {
        globalThis.asked += 1;
        return globalThis.answer ?? real.call(Notification);
      };
    });
    await overview();
    assert.match(await section().innerText(), /When something waits\s+Tell me\s+Off\s/);
    assert.equal(await phone.evaluate(() => globalThis.asked), 0);
    await clear(phone, 'not told');
    await picture(phone, 'off');
    for (const [answer, words] of [['denied', /does not let this page tell you anything/], ['default', /Nothing was changed/]]) {
      await phone.evaluate((said) => (globalThis.answer = said), answer);
      await section().getByRole('button', { name: 'Tell me' }).click();
      await section().getByRole('alert').filter({ hasText: words }).waitFor();
      assert.equal((await phone.evaluate(() => navigator.serviceWorker.getRegistrations())).length, 0);
    }
    await picture(phone, 'blocked');
  });

  test('switched on at the tap, it is told once and nothing of what, and the page says what waits', async () => {
    await stage.phone.context.grantPermissions(['notifications'], { origin: stage.issuer });
    await overview();
    await section().getByRole('button', { name: 'Tell me' }).click();
    await section().getByRole('button', { name: 'Stop telling me' }).waitFor();
    assert.match(await section().innerText(), /On\s/);
    assert.equal(await phone.evaluate(() => document.activeElement.textContent), 'Stop telling me');
    await clear(phone, 'told');
    await picture(phone, 'on');
    // Still so for whoever opens the page again.
    await overview();
    await section().getByRole('button', { name: 'Stop telling me' }).waitFor();
    await ask();
    assert.equal(await rung(1), 1);
    const [{ path, headers, body }] = service.came;
    assert.deepEqual([path, headers.topic, headers.urgency, headers['content-encoding']], ['/for/phone', 'waits', 'high', 'aes128gcm']);
    assert.equal(ece.decrypt(body, { version: 'aes128gcm', privateKey: keys, authSecret: auth }).toString(), '{"waits":true}');
    const [, token, key] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(headers.authorization);
    const point = Buffer.from(key, 'base64url');
    const jwk = { kty: 'EC', crv: 'P-256', x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') };
    const [head, said, signature] = token.split('.');
    assert.ok(verify('sha256', Buffer.from(`${head}.${said}`), { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
    assert.equal(JSON.parse(Buffer.from(said, 'base64url')).aud, `http://${service.host}`);
    await phone.getByRole('heading', { name: 'Harbour Books Till asks for you' }).waitFor();
  });

  test('the worker says the same words whatever comes, and leads to the page', async () => {
    // A page that somebody is at work on is not drawn anew, which would take what was shown away.
    await section().getByRole('button', { name: 'Stop telling me' }).focus();
    const { devtools } = phone.authenticator;
    const found = new Promise((resolve, reject) => {
      devtools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => registrations[0] && resolve(registrations[0]));
      setTimeout(() => reject(new Error('no worker was registered')), PATIENCE_MS).unref();
    });
    await devtools.send('ServiceWorker.enable');
    const { registrationId, scopeURL } = await found;
    assert.equal(scopeURL, `${stage.issuer}/worker/`, 'no page lies in it');
    const [worker] = stage.phone.context.serviceWorkers();
    const shown = () => worker.evaluate(async () => (await self.registration.getNotifications()).map(({ title, body, tag, timestamp }) => ({ title, body, tag, timestamp })));
    const until = async (is, why) => {
      const end = Date.now() + PATIENCE_MS;
      for (;;) {
        const now = await shown();
        if (is(now)) return now;
        assert.ok(Date.now() < end, why);
        await phone.waitForTimeout(50);
      }
    };
    // Nothing is closed in between: Chromium loses what is shown while one of the same tag is still closing.
    let last = 0;
    for (const data of ['{"waits":true}', '{"title":"Pay now","body":"https://evil.example"}', '']) {
      await devtools.send('ServiceWorker.deliverPushMessage', { origin: stage.issuer, registrationId, data });
      const now = await until((all) => all[0]?.timestamp > last, `nothing was shown for ${data}`);
      last = now[0].timestamp;
      const words = { title: 'Something waits for you', body: 'Open it to see what. If you did not start anything, refuse it.', tag: 'waits' };
      assert.deepEqual(now, [{ ...words, timestamp: last }], data);
    }
    // It keeps nothing, and no address is asked through it.
    assert.deepEqual(await worker.evaluate(async () => [await caches.keys(), self.onfetch]), [[], null]);
    const led = await worker.evaluate(async () => {
      const went = [];
      Object.defineProperty(WindowClient.prototype, 'focus', { value: async () => went.push('focus') });
      Object.defineProperty(Clients.prototype, 'openWindow', { value: async (to) => went.push(to) });
      await self.registration.showNotification('pressed', { tag: 'pressed' });
      const [notification] = await self.registration.getNotifications({ tag: 'pressed' });
      const waits = [];
      const event = new NotificationEvent('notificationclick', { notification });
      Object.defineProperty(event, 'waitUntil', { value: (work) => waits.push(work) });
      self.dispatchEvent(event);
      await Promise.all(waits);
      return [went, (await self.registration.getNotifications({ tag: 'pressed' })).length];
    });
    assert.deepEqual(led, [['focus'], 0], 'the page that is open comes forward, and what was pressed is gone');
    // Whoever opens the page has read it.
    await overview();
    await until((all) => all.length === 0, 'what was read still stands');
  });

  test('a renewal that fails for the moment changes nothing, and one that is refused ends it', async () => {
    const asked = [];
    const hear = (request) => request.method() === 'POST' && /\/device\/push/.test(request.url()) && asked.push(new URL(request.url()).pathname);
    phone.on('request', hear);
    await phone.route('**/device/overview', async (route) => {
      const response = await route.fetch();
      const view = await response.json();
      await route.fulfill({ response, json: { ...view, push: { ...view.push, renew: true } } });
    });
    const renews = async (status, code) => {
      await phone.route('**/device/push', (route) => route.fulfill({ status, json: { code, ref: 'R-481-720-936' } }));
      const answered = phone.waitForResponse((answer) => answer.url().endsWith('/device/push'));
      await overview();
      await answered;
      await phone.unroute('**/device/push');
    };
    const kept = () => phone.evaluate(() => globalThis.localStorage.getItem('played') !== null);
    await renews(429, 'too_many');
    await phone.waitForTimeout(500);
    assert.deepEqual([asked, await kept()], [['/device/push'], true]);
    await section().getByRole('button', { name: 'Stop telling me' }).waitFor();
    await renews(403, 'denied');
    await section().getByRole('button', { name: 'Tell me' }).waitFor();
    assert.deepEqual([asked, await kept()], [['/device/push', '/device/push', '/device/push/end'], false]);
    phone.off('request', hear);
    await phone.unroute('**/device/overview');
    await section().getByRole('button', { name: 'Tell me' }).click();
    await section().getByRole('button', { name: 'Stop telling me' }).waitFor();
  });

  test('an iPad, which names itself a Mac, is told to put the page on its home screen', async () => {
    for (const [touches, words] of [[5, 'once it is on your home screen'], [0, 'This browser can’t tell you anything']]) {
      const page = await stage.phone.another();
      await page.addInitScript((points) => {
        delete globalThis.PushManager;
        Object.defineProperty(Navigator.prototype, 'userAgent', { get: () => 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15' });
        Object.defineProperty(Navigator.prototype, 'maxTouchPoints', { get: () => points });
      }, touches);
      await page.route('**/device/overview', async (route) => {
        const response = await route.fetch();
        const view = await response.json();
        await route.fulfill({ response, json: { ...view, push: { ...view.push, on: false } } });
      });
      await page.goto(`${stage.issuer}/phone`);
      await page.locator('#tell').getByText(words).waitFor();
      await page.close();
    }
  });

  test('switched off, it is told nothing more, and its browser keeps nothing', async () => {
    await overview();
    await section().getByRole('button', { name: 'Stop telling me' }).click();
    await section().getByRole('button', { name: 'Tell me' }).waitFor();
    assert.deepEqual(await phone.evaluate(async () => [(await navigator.serviceWorker.getRegistrations()).length, globalThis.localStorage.getItem('played')]), [0, null]);
    const before = service.came.length;
    await phone.getByRole('button', { name: 'No', exact: true }).click();
    await screenIs(phone, 'refused');
    await ask();
    await phone.waitForTimeout(2_000);
    assert.equal(service.came.length, before);
  });

  test('everything stayed on this server, and nothing complained', () => stage.assertClean());
});
