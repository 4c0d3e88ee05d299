// Takes the pictures in docs/pictures: every page at the sizes and in the colours that it is made for, from the real server.
// `npm run pictures`; pictures change when pages do, so they are taken by hand and looked at.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cardIs, screenIs, Stage } from './stage/index.js';

const INTO = process.env.PICTURES ?? fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
mkdirSync(INTO, { recursive: true });

const stage = await Stage.open({ enrolled: false });
const screen = stage.screen.page;
const phone = stage.phone.page;

async function take(page, name, schemes = ['light']) {
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(INTO, `${name}-${colorScheme}.png`) });
  }
  await page.emulateMedia({ colorScheme: 'light' });
}
const both = ['light', 'dark'];

try {
  await phone.goto(stage.server.link);
  await screenIs(phone, 'invitation');
  await take(phone, 'phone-invitation', both);
  await phone.getByRole('button', { name: 'Enrol this phone' }).click();
  await screenIs(phone, 'make_passkey');
  await phone.fill('#device-name', 'Phone');
  await take(phone, 'phone-passkey');
  await phone.getByRole('button', { name: 'Make a passkey' }).click();
  await screenIs(phone, 'enrolled');
  await take(phone, 'phone-enrolled');

  await stage.toSignIn();
  await take(screen, 'sign-in-desktop', both);
  await screen.setViewportSize({ width: 390, height: 844 });
  await take(screen, 'sign-in-phone', both);
  await screen.setViewportSize({ width: 1280, height: 800 });
  await screen.click('#typed-link');
  await cardIs(screen, 'typed');
  await take(screen, 'typed-code');
  await screen.getByRole('button', { name: 'Show the code to scan' }).click();
  await cardIs(screen, 'waiting');
  await stage.scan();
  await cardIs(screen, 'type_here');
  await screen.fill('input[name="digits"]', '47');
  await take(screen, 'type-here', both);
  await take(phone, 'phone-digits', both);
  await screen.fill('input[name="digits"]', '');
  await stage.typeDigits();
  await screenIs(phone, 'statement');
  await cardIs(screen, 'scanned');
  await take(screen, 'look-at-your-phone');
  await phone.waitForSelector('#approve:not([aria-disabled])');
  await take(phone, 'phone-approve-phone', both);
  await screen.route('**/redeem', async (route) => {
    await cardIs(screen, 'approved');
    await take(screen, 'approved');
    await route.continue();
  });
  await stage.approve();
  await screenIs(phone, 'done');
  await take(phone, 'phone-done', both);
  await screen.waitForSelector('#person');
  await screen.unroute('**/redeem');
  await phone.goto(`${stage.issuer}/phone`);
  await screenIs(phone, 'overview');
  await take(phone, 'phone-overview', both);
  await phone.setViewportSize({ width: 1280, height: 800 });
  await take(phone, 'overview-wide', both);
  await phone.getByRole('button', { name: 'What happened' }).first().click();
  await screenIs(phone, 'story');
  await take(phone, 'story-wide');
  await phone.setViewportSize({ width: 390, height: 844 });
  await screen.goto(`${stage.issuer}/session`);
  await screen.waitForSelector('#sign-out');
  await take(screen, 'session');
  await screen.click('#sign-out');
  await screen.getByRole('heading', { name: 'Signed out' }).waitFor();

  await stage.till.sessions.clear();
  await stage.toSignIn();
  await stage.scan();
  await phone.getByRole('button', { name: 'Refuse' }).click();
  await screenIs(phone, 'refused');
  await take(phone, 'phone-refused', both);
  await cardIs(screen, 'refused');
  await take(screen, 'refused');
  const details = JSON.stringify([{ type: 'payment', amount: '249.00', currency: 'EUR', to: 'Harbour Books GmbH', account: 'DE89370400440532013000', reference: 'Order 10482' }]);
  await stage.toSignIn(screen, new URLSearchParams({ authorization_details: details }).toString());
  await stage.scan();
  await stage.typeDigits();
  await screenIs(phone, 'statement');
  await phone.waitForSelector('#approve:not([aria-disabled])');
  await phone.setViewportSize({ width: 390, height: 1040 });
  await take(phone, 'phone-details', both);
  await phone.setViewportSize({ width: 390, height: 844 });
  await stage.toSignIn();
  await screen.click('#ask-link');
  await screen.fill('#login', 'admin');
  await take(screen, 'ask', both);
  await screen.press('#login', 'Enter');
  await cardIs(screen, 'offered');
  await take(screen, 'offered');
  stage.lookAway();
  await phone.goto(`${stage.issuer}/q`);
  await phone.getByRole('button', { name: 'Look at it' }).waitFor();
  await take(phone, 'phone-asked', both);
  await screen.goto(`${stage.issuer}/operator`);
  await screenIs(screen, 'operator_no_session');
  await take(screen, 'operator-closed');
  stage.server.command(['person', 'role', 'admin', 'operator']);
  await screen.getByRole('button', { name: /Sign in/ }).click();
  await stage.nextFrame();
  await stage.scan();
  await stage.typeDigits();
  await stage.approve();
  await screenIs(screen, 'operator');
  const [device] = stage.server.command(['--json', 'device', 'list', 'admin']).split('\n').filter(Boolean).map((line) => JSON.parse(line));
  await fetch(`${stage.issuer}/device/scans`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  await screen.locator('#lines li', { hasText: 'R-' }).first().waitFor();
  await take(screen, 'operator', both);
  await screen.setViewportSize({ width: 390, height: 844 });
  await take(screen, 'operator-phone', both);
  await screen.fill('#look', 'admin');
  await screen.press('#look', 'Enter');
  await screenIs(screen, 'operator_person');
  await take(screen, 'operator-person-phone', both);
  await screen.setViewportSize({ width: 1280, height: 800 });
  await take(screen, 'operator-person', both);
  await screen.getByRole('button', { name: /^Look back/ }).click();
  await screenIs(screen, 'operator_touched');
  await take(screen, 'operator-touched');
  await screen.getByRole('button', { name: 'Back', exact: true }).click();
  await screenIs(screen, 'operator_person');
  await screen.getByRole('button', { name: /^Stop/ }).first().click();
  await screenIs(screen, 'operator_sure');
  await take(screen, 'operator-sure');
  // What a phone and its screen say while it breaks the rules, and after it fell.
  await screen.goto(`${stage.issuer}/session`);
  stage.server.command(['signal', 'raise', 'device.noncompliant', device.id]);
  await screen.locator('#problem:not([hidden])').waitFor();
  await take(screen, 'session-rests', both);
  await phone.goto(`${stage.issuer}/phone`);
  await screenIs(phone, 'overview');
  await take(phone, 'phone-rests', both);
  stage.server.command(['signal', 'raise', 'device.compromised', device.id]);
  await screen.getByRole('heading', { name: 'This session has ended' }).waitFor();
  await take(screen, 'session-ended', both);
  await screen.setViewportSize({ width: 390, height: 844 });
  await screen.goto(`${stage.issuer}/recover`);
  await screen.waitForSelector('#main h1');
  await take(screen, 'recover-phone', both);
  await screen.getByRole('button', { name: /recovery code/ }).click();
  await screen.waitForTimeout(300);
  await take(screen, 'recover-code-phone');
  await screen.setViewportSize({ width: 1280, height: 800 });
  await screen.goto(`${stage.issuer}/sign-in/nowhere`);
  await take(screen, 'error');
} finally {
  await stage.close();
}
