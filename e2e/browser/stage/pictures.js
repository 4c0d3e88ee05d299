// Pictures for people to look at, taken where they are wanted. `COUNTERSIGN_PICTURES=1 node --test …` takes the strips of docs/;
// with a folder as its value everything is taken into that, at a phone's size and a desk's, light and dark.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WANTED = process.env.COUNTERSIGN_PICTURES;
const DOCS = fileURLToPath(new URL('../../../docs/pictures/', import.meta.url));
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };

/** Takes `NAME-N-what-light.png`, and dark ones where asked; without the variable, nothing. */
export function pictures(name) {
  if (!WANTED) return async () => {};
  const into = WANTED === '1' ? DOCS : WANTED;
  mkdirSync(into, { recursive: true });
  let steps = 0;
  const all = into !== DOCS;
  return async (page, what, { dark = false } = {}) => {
    steps += 1;
    const own = page.viewportSize();
    for (const [size, viewport] of Object.entries(all ? SIZES : { '': own })) {
      await page.setViewportSize(viewport);
      for (const colorScheme of dark || all ? ['dark', 'light'] : ['light']) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.waitForTimeout(300);
        const parts = [name, steps, what, size, colorScheme].filter(Boolean);
        await page.screenshot({ path: join(into, `${parts.join('-')}.png`), fullPage: all });
      }
    }
    await page.setViewportSize(own);
  };
}
