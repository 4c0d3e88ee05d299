// The operator's page: what was refused, limited, stopped and ended, live; and one case at a time. Every question is
// asked with the key of this screen's session; whatever is pressed here takes something away, and is written down.
import { beat } from './beat.js';
import { call, Refusal, Unreachable } from './call.js';
import { announce, el, reference } from './dom.js';
import { person } from './operator-person.js';
import { row, rows } from './operator-words.js';
import { pressing, screen, wide } from './page.js';
import { pause } from './pause.js';
import { listen, say } from './say.js';
import * as shelf from './shelf.js';

const SHOWN = 200;
const PAUSE_MS = 3_000;
const REFERENCE = /^r[- ]?(\d{3})[- ]?(\d{3})[- ]?(\d{3})$/i;

let key;
let known = [];
let upto = null;
let fresh = 0;

const enter = (again) => () => location.assign(again ? '/operator/enter?again=1' : '/operator/enter');

/** Asks as this screen; what has a body is bound to it. */
const ask = (method, path, json) => call(method, path, { json, key, bound: json !== undefined });

// What stands in the way, by the refusal's code: headline, sentence, what can be done
const GATES = {
  no_session: ['operator.closed.headline', 'operator.closed.body', () => wide(say('operator.enter'), enter(false), { tone: 'act' })],
  gone: ['operator.ended.headline', 'operator.ended.body', () => wide(say('operator.enter'), enter(false), { tone: 'act' })],
  denied: ['operator.denied.headline', 'operator.denied.body', () => wide(say('operator.enter_other'), enter(false), { tone: 'act' })],
  step_up: ['operator.step_up.headline', 'operator.step_up.body', () => wide(say('operator.again'), enter(true), { tone: 'act' })],
  locked: ['operator.locked.headline', 'operator.locked.body', () => wide(say('phone.try_again'), () => home(), { tone: 'act' })],
};

/** Nothing more is shown: what stood here may be nobody's business now. */
function shut(code, ref) {
  known = [];
  upto = null;
  const [head, body, act] = GATES[code];
  screen({ name: `operator_${code}`, sign: code === 'no_session' ? 'key' : 'lock', tone: code === 'no_session' ? '' : 'warn', head: say(head), body: say(body), content: [code === 'denied' && reference(ref)], dock: [act()] });
  announce(say(head), code !== 'no_session');
}

/** Shows whatever went wrong. `back` leads to where it was asked for. */
function failed(fault, back = () => home()) {
  if (fault instanceof Refusal && GATES[fault.code]) {
    // An act is refused for itself as well: what may not be done need not end what may be seen.
    if (!['denied', 'gone'].includes(fault.code) || known.length === 0) {
      shut(fault.code, fault.ref);
      return;
    }
  }
  const [head, body] = fault instanceof Unreachable ? ['phone.offline.headline', 'operator.offline.body'] : ['operator.failed.headline', 'operator.failed.body'];
  screen({ name: 'operator_failed', sign: 'warning', tone: 'warn', head: say(head), body: say(body), content: [reference(fault.ref)], dock: [wide(say('story.back'), back)] });
  announce(say(head), true);
}

const shows = (name) => document.body.dataset.screen === name;

/** What happened, newest first, and the place to look for more. */
function home() {
  if (!key) {
    shut('no_session');
    return;
  }
  fresh = 0;
  if (upto === null) {
    screen({ name: 'operator_waiting', head: say('operator.headline'), body: say('operator.waiting') });
    return;
  }
  const list = known.length ? el('ol.acts', { id: 'lines' }, known.map((line) => row(line, see))) : el('p.quiet', {}, say('operator.nothing'));
  screen({
    name: 'operator',
    wide: true,
    content: [
      el(
        'div.two',
        {},
        el('section', {}, el('div.head', {}, el('h1', { tabindex: '-1' }, say('operator.headline')), el('p.small.live-dot', { id: 'link' }, say('code.live'))), el('p.small.quiet', {}, say('operator.about')), list),
        el('section', {}, el('div.head', {}, el('h2', {}, say('operator.look.headline'))), form(), el('p.small.quiet', {}, say('operator.never'))),
      ),
    ],
  });
}

function form() {
  const problem = el('p.wrong', { id: 'look-problem', role: 'alert', hidden: true });
  const input = el('input.field', { id: 'look', 'aria-describedby': 'look-problem', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: '80' });
  const look = async () => {
    problem.hidden = true;
    const text = input.value.trim();
    if (!text) {
      input.focus();
      return;
    }
    const found = REFERENCE.exec(text);
    try {
      if (found) await refusal(`R-${found.slice(1).join('-')}`);
      else await see({ login: text });
    } catch (fault) {
      if (!(fault instanceof Refusal) || fault.code !== 'no_such_thing') {
        failed(fault);
        return;
      }
      problem.hidden = false;
      problem.textContent = say(found ? 'operator.look.no_reference' : 'operator.look.nobody');
      input.focus();
    }
  };
  const press = pressing(say('operator.look.press'), look, { tone: 'act' });
  const whole = el('form.card.invite', { novalidate: true, autocomplete: 'off' }, el('div', {}, el('label', { for: 'look' }, say('operator.look.label')), input), problem, press);
  whole.addEventListener('submit', (event) => {
    event.preventDefault();
    press.click();
  });
  return whole;
}

/** Looks at a person, by login name or by the pseudonym of a line. */
async function see(whom) {
  await person(await ask('POST', '/operator/people/look', whom), { home, ask, failed, again: () => see(whom).catch((fault) => failed(fault)) });
}

async function refusal(ref) {
  const { line, around } = await ask('GET', `/operator/refusals/${encodeURIComponent(ref)}`);
  const others = around.filter((one) => one.facts.ref !== ref).reverse();
  screen({
    name: 'operator_refusal',
    head: say('operator.refusal.headline', { ref }),
    content: [el('ol.acts', {}, row(line, see)), ...(others.length ? [el('h2', {}, say('operator.refusal.around')), rows(others, see)] : [])],
    dock: [wide(say('story.back'), home)],
  });
}

/** One question after another, as long as this page is there. */
async function follow() {
  for (;;) {
    try {
      const more = await ask('GET', upto === null ? '/operator/lines' : `/operator/lines?after=${upto}`);
      const first = upto === null;
      upto = more.upto;
      known = [...more.lines, ...known].slice(0, SHOWN);
      document.getElementById('link')?.classList.remove('lost');
      if (first) home();
      else if (more.lines.length && shows('operator')) arrived(more.lines);
    } catch (fault) {
      if (fault instanceof Refusal && GATES[fault.code]) {
        shut(fault.code, fault.ref);
        if (fault.code !== 'locked') return;
      }
      document.getElementById('link')?.classList.add('lost');
      await pause(PAUSE_MS);
    }
  }
}

/** New lines stand on top; whoever reads further down is not moved, and nothing that has the focus goes. */
function arrived(lines) {
  const list = document.getElementById('lines');
  if (!list) {
    home();
    return;
  }
  list.prepend(...lines.map((line) => row(line, see)));
  while (list.children.length > SHOWN) list.lastElementChild.remove();
  fresh += lines.length;
  announce(say('operator.fresh', { n: fresh }));
}

async function start() {
  await listen(document);
  // What came back with the address has been of use, or never was.
  history.replaceState(null, '', '/operator');
  key = (await shelf.terminal().catch(() => undefined))?.key;
  home();
  if (!key) return;
  beat(key, { over: () => shut('gone') });
  await follow();
}

start();
