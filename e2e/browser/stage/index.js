// The stage: server, till, and two browsers (the screen and the phone), with what people do on them.
import assert from 'node:assert/strict';
import { Browser, PATIENCE_MS } from './browser.js';
import { dark, shoot } from './film.js';
import { serve } from './server.js';
import { Till } from './till.js';

export const ORGANISATION = 'Harbour Books';
/** For a suite: what hangs is named by it; the runner ends a file that goes on (`--test-timeout` in package.json). */
export const SUITE = { timeout: 600_000 };

export class Stage {
  /** Everything runs, in `house` if there is one; the phone is enrolled unless `enrolled` is false. */
  static async open({ enrolled = true, screen = {}, phone = {}, house, top, port, scope = 'openid profile', registered = '' } = {}) {
    const stage = new Stage();
    stage.till = new Till({ id: 'till', name: 'Harbour Books Till', scope, fetch: house?.fetch });
    const till = await stage.till.open(port);
    till.more += `\n${registered}`;
    stage.server = await serve({ organisation: ORGANISATION, clients: [till], house, top });
    stage.issuer = stage.server.issuer;
    await stage.till.connect(stage.issuer);
    [stage.screen, stage.phone] = await Promise.all([Browser.launch(screen), Browser.launch({ phone: true, ...phone })]);
    if (enrolled) await enrol(stage.phone.page, stage.server.link, 'Phone');
    return stage;
  }

  async close() {
    await Promise.allSettled([this.screen?.close(), this.phone?.close()]);
    await this.server?.stop();
    await this.till?.close();
  }

  /** From the till's own page to the sign-in page, with a code on it */
  async toSignIn(page = this.screen.page, query = '') {
    await page.goto(`${this.till.origin}/`);
    if (query) await page.goto(`${this.till.origin}/login?${query}`);
    else await page.click('#login');
    await page.waitForSelector('#code-card[data-state="waiting"] svg path[d*="M"]', { state: 'attached' });
  }

  /** What a camera sees of the code, once the next frame begins */
  async nextFrame(page = this.screen.page) {
    const before = await drawn(page);
    await page.waitForFunction((old) => document.querySelector('.tile svg path')?.getAttribute('d') !== old, before, { polling: 50 });
    return photo(page);
  }

  /** Two frames, one after the other, as a camera sees them that is held up */
  async frames(page = this.screen.page) {
    return [await photo(page), await this.nextFrame(page)];
  }

  /** Points the phone's camera at the screen long enough for two frames, and scans out of pixels. */
  async scan({ from = this.screen.page, on = this.phone.page, browser = this.phone } = {}) {
    const shots = await this.frames(from);
    shoot(browser.film, shots);
    await on.goto(`${this.issuer}/q`);
    await screenIs(on, 'digits_shown', 'digits_asked', 'statement', 'code_not_live', 'too_far', 'denied');
    return shots;
  }

  /** The phone's camera sees nothing any more. */
  lookAway(browser = this.phone) {
    dark(browser.film);
  }

  /** Reads the code off the screen and types it on the phone; gives the code. */
  async typeCode({ from = this.screen.page, on = this.phone.page } = {}) {
    await from.click('#typed-link');
    const code = await from.locator('.state .typed').innerText();
    await on.goto(`${this.issuer}/code`);
    await on.fill('#user-code', code.toLowerCase().replace('-', ' '));
    await on.press('#user-code', 'Enter');
    return code;
  }

  /** Reads the digits off the phone and types them on the screen. */
  async typeDigits({ shown = this.phone.page, asked = this.screen.page } = {}) {
    await screenIs(shown, 'digits_shown');
    const digits = await shownDigits(shown);
    await asked.waitForSelector('#code-card[data-state="type_here"] input[name="digits"]');
    await asked.fill('input[name="digits"]', digits);
    await asked.press('input[name="digits"]', 'Enter');
    return digits;
  }

  /** Reads, waits as long as the page demands, approves. */
  async approve(phone = this.phone.page) {
    await screenIs(phone, 'statement');
    await phone.waitForSelector('#approve:not([aria-disabled])');
    await phone.click('#approve');
  }

  /** The whole way, to an open till */
  async signIn() {
    await this.toSignIn();
    await this.scan();
    await this.typeDigits();
    await this.approve();
    await this.screen.page.waitForURL(`${this.till.origin}/`);
    await this.screen.page.waitForSelector('#person');
  }

  /** Whom the till thinks it serves, after asking again */
  async served(page = this.screen.page) {
    await page.goto(`${this.till.origin}/`);
    return page.evaluate(() => document.querySelector('#person')?.textContent ?? null);
  }

  /** Back-channel log-outs arrive within moments, not within the request: waits until the till heard `n` in all. */
  async heard(n) {
    const until = Date.now() + PATIENCE_MS;
    while (this.till.heard.length < n) {
      assert.ok(Date.now() < until, 'the till was not told');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Nothing but our two servers was asked, and nothing complained. */
  assertClean() {
    for (const browser of [this.screen, this.phone]) {
      const own = [new URL(this.issuer).origin, new URL(this.till.origin).origin];
      const strangers = browser.asked.filter((address) => !/^(data|blob|about):/.test(address) && !own.includes(new URL(address).origin));
      assert.deepEqual(strangers, [], 'requests to others');
      assert.deepEqual(browser.complaints, [], 'complaints of the browser');
    }
    assert.deepEqual(this.till.faults, [], 'faults of the till');
  }
}

/** What the screen draws at this moment; for knowing that it changed, never for reading it */
const drawn = (page) => page.evaluate(() => document.querySelector('.tile svg path')?.getAttribute('d') ?? '');

/** A photograph of the code */
export const photo = (page) => page.locator('.tile .symbol').screenshot();

/** Waits until `read`, inside the page, is one of `names`; tells which. */
async function becomes(page, read, names) {
  try {
    await page.waitForFunction(([what, wanted]) => wanted.includes(what === 'screen' ? document.body?.dataset.screen : document.getElementById('code-card')?.dataset.state), [read, names]);
  } catch (fault) {
    const shown = await page.evaluate(() => [document.body?.dataset.screen, document.getElementById('code-card')?.dataset.state, document.body?.innerText.slice(0, 300)]).catch(() => []);
    throw new Error(`${read}: ${names.join(' or ')} did not come; there is ${shown.filter(Boolean).join(' / ')}`, { cause: fault });
  }
  return page.evaluate((what) => (what === 'screen' ? document.body.dataset.screen : document.getElementById('code-card').dataset.state), read);
}

/** Waits until a phone's page shows one of these screens; tells which. */
export const screenIs = (page, ...names) => becomes(page, 'screen', names);

/** Waits until the card of the waiting screen is in one of these states; tells which. */
export const cardIs = (page, ...names) => becomes(page, 'card', names);

/** Digits as they stand in their boxes */
export const shownDigits = (page) => page.evaluate(() => [...document.querySelectorAll('.digits b')].map((box) => box.textContent).join(''));

/** Follows an invitation to its end. */
export async function enrol(page, link, name) {
  await page.goto(link);
  await screenIs(page, 'invitation');
  await page.getByRole('button', { name: 'Enrol this phone' }).click();
  await screenIs(page, 'make_passkey');
  await page.fill('#device-name', name);
  await page.getByRole('button', { name: 'Make a passkey' }).click();
  await screenIs(page, 'enrolled');
}

/** One more person, with a phone of their own */
export async function somebody(stage, name, login) {
  const [link] = /https?:\/\/\S+#[\w-]+/.exec(stage.server.command(['invite', name, login]));
  const browser = await Browser.launch({ phone: true });
  await enrol(browser.page, link, 'Phone');
  return browser;
}
