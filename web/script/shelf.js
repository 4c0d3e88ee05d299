// What this browser keeps: the device key of a phone, the terminal key of a live session. Keys stay CryptoKey objects; no
// script can read them out.

const NAME = 'countersign';
const STORE = 'shelf';

const asked = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function within(mode, work) {
  const base = await database();
  const turn = base.transaction(STORE, mode);
  const result = await asked(work(turn.objectStore(STORE)));
  return result;
}

const read = (name) => within('readonly', (store) => store.get(name));
const write = (name, value) => within('readwrite', (store) => store.put(value, name));
const drop = (name) => within('readwrite', (store) => store.delete(name));

/** The enrolled device: `{ key, id, name, person }`, or undefined */
export const device = () => read('device');
export const keepDevice = (record) => write('device', record);
export const dropDevice = () => drop('device');

/** The key of a device that is being let back in by two people, and whose: `{ key, login }`, or undefined */
export const recovery = () => read('recovery');
export const keepRecovery = (record) => write('recovery', record);
export const dropRecovery = () => drop('recovery');

/** The terminal key of the session that lives here: `{ key }`, or undefined */
export const terminal = () => read('terminal');
export const keepTerminal = (record) => write('terminal', record);
export const dropTerminal = () => drop('terminal');

/** The registered key of this screen: `{ key, id, plate, kiosk }`, or undefined */
export const registered = () => read('registered');
export const keepRegistered = (record) => write('registered', record);

/** The key of a phone that a shift shares: `{ key, id, plate }`, or undefined. Another phone's seats are no seats of this one. */
export const shared = () => read('shared');
export const keepShared = async (record) => {
  await write('seats', []);
  await write('shared', record);
};

/** Seats on it: `[{ key, id, name, person, seat: true }]` */
export const seats = async () => (await read('seats')) ?? [];
export const keepSeat = async (record) => write('seats', [...(await seats()).filter(({ id }) => id !== record.id), record]);
export const dropSeat = async (id) => write('seats', (await seats()).filter((one) => one.id !== id));

/** Who has it in hand, and since when: `{ id, at }`, or undefined */
export const holder = () => read('holder');
export const keepHolder = (record) => write('holder', record);
export const dropHolder = () => drop('holder');

/** How often this screen has opened, this time included: counted before it is asked for, so that what gets lost counts. */
export async function count() {
  const base = await database();
  const turn = base.transaction(STORE, 'readwrite');
  const store = turn.objectStore(STORE);
  const next = ((await asked(store.get('counter'))) ?? 0) + 1;
  await asked(store.put(next, 'counter'));
  return next;
}

/** Asks the browser not to throw the keys away; a browser may still say no. */
export const persist = async () => {
  try {
    return (await navigator.storage?.persist?.()) ?? false;
  } catch {
    return false;
  }
};

/** Can this window keep keys at all? An app's inner window often cannot. */
export async function works() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle || !globalThis.indexedDB) return false;
  try {
    await database();
    return true;
  } catch {
    return false;
  }
}
