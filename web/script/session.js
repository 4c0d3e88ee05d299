// "You are signed in here": ending it needs the key that opened it, so nobody else's page can.
import { beat } from './beat.js';
import { call, Refusal } from './call.js';
import { announce, el, ground, headline, icon, show } from './dom.js';
import { listen, say } from './say.js';
import { Countdown } from './countdown.js';
import { Deadline } from './frame.js';
import * as shelf from './shelf.js';
import { RESTS, watch } from './watch.js';

const place = (id) => document.getElementById(id);

const HERE = ['session.ended.headline', 'session.ended.body'];
const ELSEWHERE = ['session.ended_by.headline', 'session.ended_by.body'];

let over = false;
let leaving = false;

/** Said once: whoever signs out here also hears of it from the server. */
function ended([head, body] = HERE) {
  if (over) return;
  over = true;
  show(place('card'), ground('lock', head === HERE[0] ? 'good' : 'warn'), headline('h1', say(head)), el('p.quiet', {}, say(body)));
  announce(say(head), true);
}

async function signOut(press) {
  leaving = true;
  press.setAttribute('aria-disabled', 'true');
  const kept = await shelf.terminal().catch(() => undefined);
  try {
    await call('POST', '/session/end', { json: {}, key: kept?.key });
    await shelf.dropTerminal().catch(() => {});
    ended();
  } catch (fault) {
    leaving = false;
    press.removeAttribute('aria-disabled');
    if (fault instanceof Refusal && ['no_session', 'gone', 'no_such_thing'].includes(fault.code)) {
      await shelf.dropTerminal().catch(() => {});
      ended();
      return;
    }
    const problem = place('problem');
    problem.hidden = false;
    problem.className = 'wrong';
    problem.textContent = say(!kept ? 'session.no_key' : fault instanceof Refusal ? 'session.failed' : 'phone.offline.headline');
  }
}

async function start() {
  await listen(document);
  const press = place('sign-out');
  press?.addEventListener('click', () => press.getAttribute('aria-disabled') !== 'true' && signOut(press));
  if (press) watch(stands);
  const time = place('time');
  const left_ms = Number(time?.dataset.left) * 1000;
  if (left_ms > 0) {
    const deadline = new Deadline(left_ms);
    const countdown = new Countdown(deadline, Number(time.dataset.whole) * 1000 || left_ms).run();
    time.replaceChildren(countdown.tally, countdown.words);
    const ticking = setInterval(() => {
      if (deadline.left_ms > 0) return;
      clearInterval(ticking);
      ended();
    }, 1000);
  }
  const kept = await shelf.terminal().catch(() => undefined);
  if (press && kept) await beat(kept.key, { over: () => stands('ended') });
}

/** What was done to the session, in words: they stand there for as long as it is so. */
function stands(standing) {
  if (standing === 'ended') {
    ended(leaving ? HERE : ELSEWHERE);
    return;
  }
  const problem = place('problem');
  if (!problem) return;
  problem.hidden = standing === 'good';
  problem.className = 'notice warn';
  problem.replaceChildren(...(problem.hidden ? [] : [icon('lock'), el('span', {}, el('strong', {}, say(RESTS[standing])), ' ', say('session.rests'))]));
}

start();
