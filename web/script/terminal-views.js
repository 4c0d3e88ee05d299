// What the card says in every state but waiting. Each view is a list of nodes; what is pressed is told to `on`.
import { button, el, ground, headline, linkButton, name, reference } from './dom.js';
import { digitForm, shownDigits } from './digits.js';
import { parts, say } from './say.js';

const view = (...children) => el('div.state', {}, children);
const rest = (...children) => el('div.rest', {}, children);
const part = (which) => which && el('p.part', {}, say('digits.part', which));

/** A sign, a headline, a sentence, and what can be done about it */
const plain = ({ sign, tone, head, body, actions = [], ref }) =>
  view(ground(sign, tone), headline('h2', head), el('p.quiet', {}, body), rest(reference(ref), ...actions));

export const typedCode = ({ host, code, countdown, on }) =>
  view(
    ground('type', 'act'),
    headline('h2', say('sign_in.typed.headline')),
    el('p.quiet', {}, parts('sign_in.typed.body', { host: el('strong.nowrap', {}, host) })),
    el('p.typed', {}, code),
    rest(countdown.tally, countdown.words, linkButton(say('sign_in.typed.show_code'), on.showCode)),
  );

/** For a login name. A borrowed screen must not remember it: nothing is filled in, and nothing is kept. */
export function ask({ on }) {
  const input = el('input.field', { id: 'login', name: 'login', maxlength: '80', autocomplete: 'off', autocapitalize: 'none', autocorrect: 'off', spellcheck: 'false', enterkeyhint: 'go', 'aria-describedby': 'login-problem', 'data-1p-ignore': '', 'data-lpignore': 'true' });
  const problem = el('p.wrong', { id: 'login-problem', role: 'alert', hidden: true });
  const form = el('form.stack', { id: 'login-form', novalidate: true, autocomplete: 'off' }, el('div', {}, el('label', { for: 'login' }, say('sign_in.ask.label')), input), problem);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const login = input.value.trim().toLowerCase();
    problem.hidden = login !== '';
    problem.textContent = problem.hidden ? '' : say('sign_in.ask.missing');
    if (login) on.offer(login);
    else input.focus();
  });
  return view(
    ground('phone', 'act'),
    headline('h2', say('sign_in.ask.headline')),
    el('p.quiet', {}, say('sign_in.ask.body')),
    form,
    rest(el('button.button.act', { type: 'submit', form: 'login-form' }, say('sign_in.type_here.continue')), linkButton(say('sign_in.typed.show_code'), on.showCode)),
  );
}

export const offered = ({ host, countdown, on }) =>
  view(
    ground('phone', 'act'),
    headline('h2', say('sign_in.offered.headline')),
    el('p.quiet', {}, parts('sign_in.offered.body', { host: el('strong.nowrap', {}, host) })),
    rest(countdown.tally, countdown.words, linkButton(say('sign_in.typed.show_code'), on.restart)),
  );

/** A phone's badge was read: what it asks is on that phone now. */
export const badge = ({ countdown, on }) =>
  view(
    ground('phone', 'act'),
    headline('h2', say('badge.read.headline')),
    el('p.quiet', {}, say('badge.read.body')),
    rest(countdown.tally, countdown.words, linkButton(say('sign_in.typed.show_code'), on.restart)),
  );

export const scanned = ({ countdown, on }) =>
  view(
    ground('phone', 'act'),
    headline('h2', say('sign_in.scanned.headline')),
    el('p.quiet', {}, say('sign_in.scanned.body')),
    rest(countdown.tally, countdown.words, el('div.middle', {}, linkButton(say('sign_in.scanned.cancel'), on.restart))),
  );

/** Digits to be typed here. `left` is set after a wrong try. */
export function typeHere({ n, left, countdown, which, on }) {
  const wrong = left !== undefined;
  const { form, field } = digitForm({ n, label: say('sign_in.type_here.label', { n }), send: on.digits, id: 'digits-form' });
  const node = view(
    el('div.both', {}, ground(wrong ? 'warning' : 'phone', wrong ? 'bad' : 'act'), part(which)),
    headline('h2', wrong ? say('sign_in.wrong.headline') : say('sign_in.type_here.headline', { n })),
    el('p.quiet', {}, wrong ? say('sign_in.wrong.body', { n: left }) : say('sign_in.type_here.body')),
    form,
    rest(
      el('button.button.act', { type: 'submit', form: 'digits-form' }, say('sign_in.type_here.continue')),
      el('div.both', {}, countdown.words, linkButton(say('sign_in.start_again'), on.restart)),
    ),
  );
  return { node, field };
}

export const typeThere = ({ digits, countdown, which, on }) =>
  view(
    el('div.both', {}, ground('phone', 'act'), part(which)),
    headline('h2', say('sign_in.type_there.headline')),
    el('p.quiet', {}, say('sign_in.type_there.body', { n: digits.length })),
    shownDigits(digits),
    rest(countdown.tally, countdown.words, el('div.middle', {}, linkButton(say('sign_in.type_there.not_yours'), on.restart))),
  );

export const approved = ({ client }) =>
  view(ground('check', 'good'), headline('h2', say('sign_in.approved.headline')), el('p.quiet', {}, parts('sign_in.approved.body', { client: name(client) })));

/** The name, and the question whose it is */
export const greeting = ({ person, on }) =>
  view(
    ground('person', 'good'),
    headline('h2', parts('sign_in.greeting.headline', { name: name(person) })),
    el('p.quiet', {}, say('sign_in.greeting.body')),
    rest(
      button(say('sign_in.greeting.not_me'), on.notMe, { tone: 'ink', sign: 'cross' }),
      button(parts('sign_in.greeting.continue', { first: name(person.split(' ')[0]) }), on.continue, { tone: 'act', sign: 'check' }),
    ),
  );

const startAgain = (on) => [button(say('sign_in.start_again'), on.restart, { tone: 'act' })];
const newCode = (on) => [button(say('sign_in.new_code'), on.restart, { tone: 'act' })];

/** What this screen was told, in words: headline and explanation */
export const REFUSED = {
  denied: ['sign_in.refused.headline', 'sign_in.refused.body'],
  wrong_code: ['sign_in.refused.headline', 'sign_in.refused.body'],
  remote_controlled: ['refusal.remote_controlled.headline', 'refusal.remote_controlled.body'],
};

export const refused = ({ ref, on, words: [head, body] = REFUSED.denied }) =>
  plain({ sign: 'cross', head: say(head), body: say(body), ref, actions: startAgain(on) });

export const expired = ({ on }) =>
  plain({ sign: 'clock', head: say('sign_in.expired.headline'), body: say('sign_in.expired.body'), actions: newCode(on) });

export const badgeOver = ({ ref, on }) =>
  plain({ sign: 'clock', tone: 'warn', head: say('badge.over.headline'), body: say('badge.over.body'), ref, actions: newCode(on) });

export const closed = ({ ref, on }) =>
  plain({ sign: 'window', head: say('sign_in.closed.headline'), body: say('sign_in.closed.body'), ref, actions: newCode(on) });

export const resting = ({ on }) =>
  plain({ sign: 'rest', head: say('sign_in.resting.headline'), body: say('sign_in.resting.body'), actions: newCode(on) });

export const notMe = ({ on }) =>
  plain({ sign: 'cross', head: say('sign_in.not_me.headline'), body: say('sign_in.not_me.body'), actions: startAgain(on) });

export const replayed = ({ ref, on }) =>
  plain({ sign: 'warning', tone: 'bad', head: say('sign_in.replayed.headline'), body: say('sign_in.replayed.body'), ref, actions: startAgain(on) });

export const badStart = ({ ref }) =>
  plain({ sign: 'window', head: say('sign_in.bad_start.headline'), body: say('sign_in.bad_start.body'), ref });

export const broken = ({ ref, on }) =>
  view(
    ground('warning', 'bad'),
    headline('h2', say('error.headline')),
    el('p.quiet', {}, ref ? parts('error.body', { reference: el('strong.mono.nowrap', {}, ref) }) : say('error.body_bare')),
    rest(...startAgain(on)),
  );

export const webview = ({ on }) =>
  plain({ sign: 'window', tone: 'warn', head: say('webview.headline'), body: say('webview.body'), actions: [button(say('webview.copy'), on.copy, { tone: 'act' }), el('p.small.quiet', { role: 'status', id: 'copied' })] });

/** Waits, tells how long, and tries again by itself. */
const waiting = ({ sign, tone, head, body, ref, wait, actions }) =>
  view(ground(sign, tone), headline('h2', head), el('p.quiet', {}, body), rest(reference(ref), wait, ...actions));

export const offline = ({ organisation, wait, on }) =>
  waiting({ sign: 'offline', tone: 'warn', head: say('sign_in.offline.headline'), body: parts('sign_in.offline.body', { organisation: name(organisation) }), wait, actions: [button(say('sign_in.offline.try_now'), on.tryNow)] });

export const paused = ({ ref, wait, on }) =>
  waiting({ sign: 'pause', tone: 'warn', head: say('sign_in.paused.headline'), body: say('sign_in.paused.body'), ref, wait, actions: [button(say('sign_in.offline.try_now'), on.tryNow)] });

export const tooMany = ({ minutes, ref, on, passkey, asked }) =>
  plain({
    sign: 'clock',
    tone: 'warn',
    head: say('too_many.headline'),
    body: say('too_many.body', { n: minutes }),
    ref,
    actions: [
      passkey && button(say('sign_in.passkey.button'), on.passkey, { tone: 'act', sign: 'key' }),
      asked && button(say('sign_in.typed.show_code'), on.restart),
    ].filter(Boolean),
  });

