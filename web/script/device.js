// This phone: its key, and asking the server with it.
import { call } from './call.js';
import { freshKey } from './keys.js';
import * as shelf from './shelf.js';

/** The enrolled device of this browser, or undefined */
export const load = () => shelf.device();

/** A key for a device that is about to be enrolled. It is kept only when the server has taken it. */
export const newKey = () => freshKey();

/** Keeps what was enrolled, and asks the browser to keep it too. */
export async function keep(key, { device_id, name }, device_name) {
  await shelf.keepDevice({ key, id: device_id, name: device_name, person: name });
  await shelf.persist();
  return load();
}

/** Asks with the proof of a device key over method, address and body. */
export const ask = (device, method, path, json) => call(method, path, { json, key: device.key, bound: true });

/** What people will call this device until they rename it */
export function guessName() {
  const agent = navigator.userAgent;
  const known = [
    [/iPhone/, 'iPhone'],
    [/iPad/, 'iPad'],
    [/Android.*?; ([^;)]+?)(?: Build|\))/, null],
    [/Android/, 'Android'],
    [/Mac/, 'Mac'],
    [/Windows/, 'Windows'],
    [/CrOS/, 'Chromebook'],
    [/Linux/, 'Linux'],
  ];
  for (const [pattern, name] of known) {
    const found = pattern.exec(agent);
    if (found) return name ?? (found[1].length > 1 && found[1] !== 'K' ? found[1].slice(0, 40) : 'Android');
  }
  return 'Device';
}
