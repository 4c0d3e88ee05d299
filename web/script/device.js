// This phone: its key, and asking the server with it.
import { call } from './call.js';
import { proof } from './dpop.js';
import { freshKey } from './keys.js';
import * as shelf from './shelf.js';

/** The enrolled device of this browser, or undefined */
export const load = () => shelf.device();

/** A key for a device that is about to be enrolled. It is kept only when the server has taken it. */
export const newKey = () => freshKey();

/** Keeps what was enrolled, and asks the browser to keep it too. */
export async function keep(key, { device_id, name }, device_name, phone) {
  const record = { key, id: device_id, name: device_name, person: name };
  if (phone) await shelf.keepSeat({ ...record, seat: true });
  else await shelf.keepDevice(record);
  await shelf.persist();
  return load();
}

/** A body in which the key of a shared phone says once that this seat's key is on it */
export const vouching = (phone, seat, path, json) => async (nonce) => ({
  ...json,
  phone: await proof(phone.key, { method: 'POST', url: new URL(path, location.origin), nonce, body: seat.thumbprint, bound: true }),
});

/** Asks with the proof of a device key over method, address and body. */
export const ask = (device, method, path, json) => call(method, path, { json, key: device.key, bound: true });

/** Shows nothing more of a seat; said also by a page that goes. */
export const lock = (seat) => call('POST', '/device/lock', { json: {}, key: seat.key, bound: true, keepalive: true });

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
