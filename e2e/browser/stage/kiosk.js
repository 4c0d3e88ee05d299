// A till that is registered and in kiosk mode, and the people who come to it.
import assert from 'node:assert/strict';
import { clear } from './access.js';
import { screenIs, Stage } from './index.js';
import { freePort } from './server.js';

export class Kiosk {
  /** Everything runs; the till at `name` is not registered yet. `more` goes to the stage. */
  static async open({ name, place, top = '', ...more }) {
    const kiosk = new Kiosk();
    // It is told where its application begins before there is one: the application gets a port of its own.
    const port = await freePort();
    const start = `[terminals.classes.till.kiosk]\nclient = "till"\nscopes = ["openid", "profile"]\nstart = "http://localhost:${port}/"\n`;
    kiosk.stage = await Stage.open({ ...more, port, top: `${top}${start}` });
    kiosk.screen = kiosk.stage.screen.page;
    [kiosk.name, kiosk.place] = [name, place];
    kiosk.words = ['--name', name, '--place', place, '--class', 'till'];
    return kiosk;
  }

  /** Follows a link that registers it, and gives that. */
  async register(...words) {
    const { link } = JSON.parse(this.stage.server.command(['terminal', 'invite', ...this.words, ...words, '--json']));
    await this.screen.goto(link);
    await screenIs(this.screen, 'register');
    await clear(this.screen, 'register');
    const said = await this.screen.locator('main').innerText();
    assert.ok(said.includes(this.name) && said.includes(this.place), said);
    await this.screen.getByRole('button', { name: 'Register this screen' }).click();
    await screenIs(this.screen, 'registered');
    return link;
  }

  /** Its idle screen */
  async idle() {
    await this.screen.goto(`${this.stage.issuer}/kiosk`);
    await this.is('idle');
    await this.code();
  }

  is(...states) {
    return this.screen.waitForFunction((wanted) => wanted.includes(document.body.dataset.kiosk), states);
  }

  /** `act` ends what runs on it, and it hears of that at once: by its long question, not by its next beat or its own clock. */
  async ends(act) {
    const over = async (answer) => answer.url().includes('/session/watch') && (!answer.ok() || (await answer.json().catch(() => ({}))).standing === 'ended');
    await Promise.all([this.screen.waitForResponse(over), this.is('ended'), act()]);
  }

  code() {
    return this.screen.waitForSelector('#code-card[data-state="waiting"] svg path[d*="M"]', { state: 'attached' });
  }

  /** Somebody scans and approves, and has the screen; gives what the phone said. */
  async comes(browser, who) {
    await this.code();
    await this.stage.scan({ on: browser.page, browser });
    await screenIs(browser.page, 'statement');
    const said = await browser.page.locator('main').innerText();
    await this.stage.approve(browser.page);
    await this.is('signed-in');
    await this.screen.getByRole('heading', { name: who }).waitFor();
    return said;
  }

  /** Its application, with the one who has the screen signed in */
  async application() {
    await this.screen.getByRole('button', { name: 'Open the application' }).click();
    await this.screen.waitForURL(`${this.stage.till.origin}/`);
    await this.screen.click('#login');
    await this.screen.waitForSelector('#person');
  }
}
