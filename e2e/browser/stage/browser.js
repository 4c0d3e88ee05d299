// Browsers: real Chromium, each with a profile of its own, as two machines have. Each is watched: what it asks for, and what
// it complains about.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { dark } from './film.js';

const PROGRAM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars'];
/** How long a page may take to show what is waited for: a slow machine at work on something else needs many times what it takes here. */
export const PATIENCE_MS = 45_000;
const AUTHENTICATOR = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };

export class Browser {
  /** Every address asked for, and every complaint of page or browser */
  asked = [];
  complaints = [];

  /**
   * `phone` is one, with the fake camera on, which `camera` gives to any; `flags` are further switches; `visitor` says where it stands and whom it
   * trusts (`House.visitor`); `settings` go to the context (viewport, colours).
   */
  static async launch({ phone = false, camera = phone, flags = [], visitor, ...settings } = {}) {
    const browser = new Browser();
    browser.directory = mkdtempSync(join(tmpdir(), 'countersign-profile-'));
    browser.film = join(browser.directory, 'camera.y4m');
    dark(browser.film);
    visitor?.prepare(browser.directory);
    const film = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${browser.film}`];
    browser.context = await chromium.launchPersistentContext(browser.directory, {
      executablePath: PROGRAM,
      headless: false,
      args: [...FLAGS, ...flags, ...(camera ? film : []), ...(visitor?.arguments ?? [])],
      ...(visitor && { env: { ...process.env, HOME: browser.directory } }),
      ignoreDefaultArgs: ['--enable-automation'],
      viewport: phone ? { width: 390, height: 844 } : { width: 1280, height: 800 },
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
      ...settings,
    });
    browser.context.setDefaultTimeout(PATIENCE_MS);
    browser.context.on('request', (request) => browser.asked.push(request.url()));
    await browser.context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));
    });
    [browser.page] = browser.context.pages();
    browser.page ??= await browser.context.newPage();
    await browser.watch(browser.page);
    return browser;
  }

  /** Another page of the same browser */
  async another() {
    const page = await this.context.newPage();
    await this.watch(page);
    return page;
  }

  async watch(page) {
    page.on('pageerror', (fault) => this.complaints.push(`fault: ${fault.stack ?? fault}`));
    page.on('console', (message) => {
      // A refusal is an answer; the browser tells every 4xx as an error of loading.
      const refusal = /^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !refusal) this.complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
    const devtools = await this.context.newCDPSession(page);
    await devtools.send('WebAuthn.enable', { enableUI: false });
    const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', { options: AUTHENTICATOR });
    page.authenticator = { devtools, authenticatorId };
  }

  async close() {
    await Promise.race([this.context.close(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref())]);
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The passkeys that a page's authenticator keeps */
export async function passkeys(page) {
  const { devtools, authenticatorId } = page.authenticator;
  return (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
}

/** Gives a page's authenticator a passkey, as a security key carried from one machine to another would. */
export async function carry(page, credential) {
  const { devtools, authenticatorId } = page.authenticator;
  await devtools.send('WebAuthn.addCredential', { authenticatorId, credential });
}

/** Whether the person of this page answers when the authenticator asks */
export async function verifies(page, yes) {
  const { devtools, authenticatorId } = page.authenticator;
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: yes });
}
