// Strips of pictures for docs/, taken where they are wanted: `COUNTERSIGN_PICTURES=1 node --test …`. They are looked at by people.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const INTO = fileURLToPath(new URL('../../../docs/pictures/', import.meta.url));

/** Takes `NAME-N-what-light.png`, and dark ones where asked; without the variable, nothing. */
export function pictures(name) {
  if (!process.env.COUNTERSIGN_PICTURES) return async () => {};
  mkdirSync(INTO, { recursive: true });
  let steps = 0;
  return async (page, what, { dark = false } = {}) => {
    steps += 1;
    for (const colorScheme of dark ? ['dark', 'light'] : ['light']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.waitForTimeout(300);
      await page.screenshot({ path: `${INTO}${name}-${steps}-${what}-${colorScheme}.png` });
    }
  };
}
