// Being told that something waits while nobody looks at this page. It is asked for at the tap alone and given up as easily; the page
// works without it. What is told is nothing but that: what waits, this page asks with its own key.
import { decode, encode, view } from './bytes.js';
import { Refusal } from './call.js';
import { ask } from './device.js';
import { announce, el, icon } from './dom.js';
import { isApple, pressing } from './page.js';
import { say } from './say.js';

const WORKER = '/worker.js';
/** No page lies in it. */
const SCOPE = '/worker/';

const can = () => 'serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis;

let policy;

/** The one address that this page may make a script of, whatever it is given. */
function address() {
  policy ??= globalThis.trustedTypes?.createPolicy('worker', { createScriptURL: () => WORKER });
  return policy?.createScriptURL('') ?? WORKER;
}

const registered = async () => (can() ? navigator.serviceWorker.getRegistration(SCOPE) : undefined);

/** Waits until the worker of a registration works. */
const working = (registration) =>
  new Promise((resolve, reject) => {
    const worker = registration.active ?? registration.waiting ?? registration.installing;
    const look = () => {
      if (worker.state === 'activated') resolve();
      else if (worker.state === 'redundant') reject(new Error('the worker was not taken'));
    };
    worker.addEventListener('statechange', look);
    look();
  });

const isOf = (subscription, key) => {
  const used = subscription.options?.applicationServerKey;
  return Boolean(used) && encode(view(used)) === key;
};

/** Gives the server what this browser's push service takes messages by. */
async function subscribe(device, key) {
  const registration = await navigator.serviceWorker.register(address(), { scope: SCOPE, updateViaCache: 'none' });
  await working(registration);
  const old = await registration.pushManager.getSubscription();
  if (old && !isOf(old, key)) await old.unsubscribe();
  const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: decode(key) });
  const part = (name) => encode(view(subscription.getKey(name)));
  await ask(device, 'POST', '/device/push', { endpoint: subscription.endpoint, p256dh: part('p256dh'), auth: part('auth'), key });
}

/** This browser takes nothing any more. */
async function drop() {
  const registration = await registered();
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
  await registration?.unregister();
}

async function end(device) {
  await ask(device, 'POST', '/device/push/end', {});
  await drop();
}

/** What was said is read here now. */
async function read() {
  const registration = await registered();
  for (const said of (await registration?.getNotifications()) ?? []) said.close();
}

/** Refusals after which a subscription is worth nothing */
const ENDS = ['denied', 'no_such_thing'];

/** Brings browser and server in step: either may have forgotten. Gives whether this device is told. */
async function inStep(device, { key, on, renew }) {
  if (!on) {
    await drop();
    return false;
  }
  const known = await (await registered())?.pushManager.getSubscription();
  const allowed = can() && Notification.permission === 'granted';
  const usable = allowed && known && isOf(known, key);
  if (usable && !renew) return true;
  try {
    if (!allowed) throw new Error('not allowed any more');
    await subscribe(device, key);
    return true;
  } catch (fault) {
    // What is good is kept where nobody answered, or not now: it is given anew when this page opens again.
    if (usable && !(fault instanceof Refusal && ENDS.includes(fault.code))) return true;
    await end(device);
    return false;
  }
}

let kept = false;

/** A section of the overview; `push` is what the server says of it, or nothing where it tells nobody. */
export function tell(device, push) {
  read().catch(() => {});
  if (!push) {
    drop().catch(() => {});
    return undefined;
  }
  const box = el('section', { id: 'tell' });
  const problem = el('p.wrong', { role: 'alert', hidden: true });
  const wrong = (key) => {
    problem.hidden = false;
    problem.replaceChildren(icon('warning', 20), say(key, { host: location.host }));
    // Not behind the buttons at the foot of the page.
    problem.scrollIntoView({ block: 'center' });
  };
  const draw = (on, focus) => {
    const press = pressing(say(on ? 'tell.stop' : 'tell.start'), on ? stop : start, { extra: 'slim' });
    const able = on || can();
    const state = el(`span.chip${on ? '.good' : ''}`, {}, icon(on ? 'check' : 'rest', 16), say(on ? 'tell.is_on' : 'tell.is_off'));
    const text = on ? 'tell.on' : able ? 'tell.off' : isApple ? 'tell.apple' : 'tell.cannot';
    box.replaceChildren(el('div.head', {}, el('h2', {}, say('tell.headline')), able && press), el('p.quiet', {}, able && state, able && ' ', say(text)), problem);
    if (focus) press.focus();
  };
  const turned = (on) => {
    draw(on, true);
    announce(say(on ? 'tell.is_on' : 'tell.is_off'));
  };
  async function start() {
    problem.hidden = true;
    // The browser asks here, at the tap, and nowhere else.
    const answer = await Notification.requestPermission();
    if (answer !== 'granted') return wrong(answer === 'denied' ? 'tell.blocked' : 'tell.not_now');
    try {
      await subscribe(device, push.key);
    } catch {
      await drop().catch(() => {});
      return wrong('tell.failed');
    }
    return turned(true);
  }
  async function stop() {
    problem.hidden = true;
    try {
      await end(device);
    } catch {
      return wrong('tell.not_ended');
    }
    return turned(false);
  }
  draw(push.on);
  if (!kept) {
    kept = true;
    inStep(device, push).then(
      (on) => on !== push.on && draw(on),
      () => {},
    );
  }
  return box;
}
