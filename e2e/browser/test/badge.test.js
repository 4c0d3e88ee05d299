// Badge mode: the phone's live code, drawn on one page, is read from pixels by the terminal's page through Chromium's fake camera;
// and by a scanner that types what it reads.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { shoot } from '../stage/film.js';
import { photo, screenIs, SUITE } from '../stage/index.js';
import { Kiosk } from '../stage/kiosk.js';
import { pictures } from '../stage/pictures.js';

describe('a badge', SUITE, () => {
  let till;
  let stage;
  let screen;
  let phone;
  const picture = pictures('badge');

  const cardIs = (...states) => screen.waitForFunction((wanted) => wanted.includes(document.getElementById('code-card')?.dataset.state), states);
  const shown = async () => {
    await phone.goto(`${stage.issuer}/badge`);
    await screenIs(phone, 'badge');
    await phone.waitForSelector('#badge svg path[d*="M"]', { state: 'attached' });
  };

  before(async () => {
    till = await Kiosk.open({ name: 'Till 7', place: 'Harbour Square', screen: { camera: true } });
    ({ stage, screen } = till);
    phone = stage.phone.page;
    await till.register();
  });
  after(() => stage?.close());

  test('drawn on the phone, read from pixels by the till, approved on the phone', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    await phone.getByRole('button', { name: 'Show my badge' }).click();
    await screenIs(phone, 'badge');
    await phone.waitForSelector('#badge svg path[d*="M"]', { state: 'attached' });
    await clear(phone, 'badge');
    await picture(phone, 'phone');
    await screen.goto(`${stage.issuer}/kiosk`);
    await till.is('idle');
    shoot(stage.screen.film, await stage.frames(phone));
    await screen.getByRole('button', { name: 'Read a badge' }).click();
    await picture(screen, 'camera');
    await cardIs('badge', 'scanned');
    await screenIs(phone, 'statement');
    const said = await phone.locator('main').innerText();
    assert.match(said, /Sign in at\s+Till 7/);
    assert.match(said, /It has read this phone’s badge/);
    await picture(screen, 'read');
    await stage.approve();
    await till.is('signed-in');
    await screen.getByRole('heading', { name: 'Administrator' }).waitFor();
    stage.lookAway(stage.screen);
  });

  test('typed by a scanner, twice; a picture of it is not enough, and a used one is worth nothing', async () => {
    await screen.getByRole('button', { name: 'Sign out' }).click();
    await till.is('ended');
    await till.is('idle');
    await cardIs('waiting');
    await shown();
    // What the pixels say, as a hand scanner would type it.
    const read = async () => {
      const data = (await photo(phone)).toString('base64');
      return screen.evaluate(async (png) => {
        const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
        const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const scripts = [...document.scripts].map(({ src }) => src).find((src) => src.endsWith('kiosk.js'));
        const { readImage } = await import(scripts.replace('kiosk.js', 'qr.js'));
        return readImage(context.getImageData(0, 0, image.width, image.height));
      }, data);
    };
    const first = await read();
    assert.ok(first.startsWith(`${stage.issuer}/b#`), first);
    await screen.keyboard.type(`${first}\n`);
    await screen.keyboard.type(`${first}\n`);
    await screen.getByText('Once more').waitFor();
    assert.equal(await screen.evaluate(() => document.getElementById('code-card').dataset.state), 'waiting');
    // One that is two steps on at most is good with the last one.
    const index = (text) => Buffer.from(text.split('#')[1], 'base64url').readUInt16BE(16);
    // The phone takes it as soon as it hears of it; for once it hears late.
    await phone.route('**/device/pending', (route) => route.abort());
    let one;
    let two = first;
    do {
      await stage.nextFrame(phone);
      [one, two] = [two, await read()];
      await screen.keyboard.type(`${two}\n`);
    } while (index(two) - index(one) > 2);
    await cardIs('badge');
    await clear(screen, 'badge');
    await phone.unroute('**/device/pending');
    await screenIs(phone, 'statement');
    await phone.getByRole('button', { name: 'Refuse' }).click();
    await cardIs('refused');
    // The same two again: the badge was read once.
    await cardIs('waiting');
    await screen.keyboard.type(`${one}\n`);
    await screen.keyboard.type(`${two}\n`);
    await cardIs('badge_over');
    await clear(screen, 'badge_over');
    await cardIs('waiting');
    const told = [...stage.screen.complaints, ...stage.phone.complaints].filter((text) => !/net::ERR_FAILED/.test(text));
    assert.deepEqual(told, []);
  });
});
