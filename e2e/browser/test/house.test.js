// As in an installation: a DNS name, certificates, HTTPS at the usual port, and nginx in front with the file that `deploy/`
// ships. The browsers trust the certificates' authority and see no warning: with a warning there would be no passkeys.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { House } from '../stage/house.js';
import { screenIs, Stage, SUITE } from '../stage/index.js';

/** Where both stand, as behind one router; and where somebody else stands */
const SHOP = '127.0.0.21';
const STREET = '127.0.0.22';

for (const [title, proxied] of [['with certificate files', false], ['behind nginx', true]]) {
  describe(title, SUITE, () => {
    let house;
    let pocket;
    let stage;
    let screen;
    let phone;

    before(async () => {
      house = await House.build({ proxied });
      await house.open();
      pocket = await house.visitor(SHOP);
      stage = await Stage.open({ house, screen: { visitor: await house.visitor(SHOP) }, phone: { visitor: pocket } });
      screen = stage.screen.page;
      phone = stage.phone.page;
    });
    after(async () => {
      await stage?.close();
      await house?.close();
    });

    test('a phone enrolled at the name opens a screen at the name, and both hear each other at once', async () => {
      const watched = [];
      screen.on('request', (request) => {
        const { pathname, search } = new URL(request.url());
        if (/^\/ceremonies\/[^/]+(\/events)?$/.test(pathname)) watched.push(pathname.replace(/^.*\//, '') + search);
      });
      await stage.toSignIn();
      assert.equal(new URL(screen.url()).origin, house.issuer);
      assert.ok(await screen.evaluate(() => isSecureContext));
      await stage.scan();
      await stage.typeDigits();
      await screenIs(phone, 'statement');
      assert.match(await phone.locator('main').innerText(), /On the same network as this phone\./);
      await stage.approve();
      await screen.waitForURL(`${stage.till.origin}/`);
      assert.equal(await screen.textContent('#person'), 'Administrator');
      // Where a stream is held back, the page asks again and again instead.
      assert.ok(watched.length > 0);
      assert.deepEqual(watched.filter((path) => path !== 'events'), []);
    });

    test('cookies belong to this host and to TLS', async () => {
      const cookies = await stage.screen.context.cookies(house.issuer);
      assert.deepEqual(cookies.map(({ name }) => name).sort(), ['__Host-cs_b', '__Host-cs_s']);
      assert.ok(cookies.every(({ secure, httpOnly, domain }) => secure && httpOnly && domain === house.name));
    });

    test('a phone elsewhere is too far, whatever address it claims to have', async () => {
      await phone.getByRole('button', { name: 'End it now' }).click();
      await screenIs(phone, 'ended');
      stage.till.sessions.clear();
      pocket.stand(STREET);
      for (const claimed of [SHOP, `${SHOP}, 127.0.0.1`]) {
        await phone.setExtraHTTPHeaders({ 'X-Forwarded-For': claimed, 'X-Real-IP': SHOP, Forwarded: `for=${SHOP}` });
        await stage.toSignIn();
        await stage.typeCode();
        assert.equal(await screenIs(phone, 'too_far', 'digits_shown', 'statement'), 'too_far', claimed);
      }
      // Back in the shop the same phone is near again.
      pocket.stand(SHOP);
      await phone.setExtraHTTPHeaders({});
      await stage.toSignIn();
      await stage.typeCode();
      assert.equal(await screenIs(phone, 'too_far', 'digits_shown', 'statement'), 'digits_shown');
    });

    if (!proxied) return;

    test('who comes without TLS is led to the name', async () => {
      const answer = await fetch(`http://127.0.0.1:${house.plain}/q`, { redirect: 'manual', headers: { host: house.name } });
      assert.equal(answer.status, 308);
    });

    test('nothing that stands in an address gets into the access log', () => {
      const lines = house.accessLog().trim().split('\n');
      assert.ok(lines.some((line) => line.includes('GET /authorize" ')));
      assert.deepEqual(lines.filter((line) => /[?#]|code=|state=/.test(line)), []);
    });
  });
}
