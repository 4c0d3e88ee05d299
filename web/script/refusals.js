// What a phone says when the server said no. The phone learns only what concerns its own person.
import { Refusal, Unreachable } from './call.js';
import { announce, el, icon, reference } from './dom.js';
import { screen, wide } from './page.js';
import { say } from './say.js';
import { Mismatch } from './statement.js';

const ACTS = {
  scan: (app) => wide(say('phone.scan_again'), app.scan, { tone: 'act' }),
  see: (app) => wide(say('phone.see_open'), app.overview),
  reload: () => wide(say('phone.reload'), () => location.reload()),
  stop: (app) => wide(say('phone.stop'), app.stop, { tone: 'ink' }),
};

// code: headline, explanation, what can be done, sign, tone
const TABLE = {
  code_not_live: ['refusal.code_not_live.headline', 'refusal.code_not_live.body', ['scan'], 'clock', ''],
  no_such_ceremony: ['refusal.no_such_ceremony.headline', 'refusal.no_such_ceremony.body', ['scan'], 'window', ''],
  too_far: ['refusal.too_far.headline', 'refusal.too_far.body', ['stop', 'scan'], 'near', 'warn'],
  same_device: ['refusal.same_device.headline', 'refusal.same_device.body', ['scan'], 'phone', 'warn'],
  denied: ['refusal.denied.headline', 'refusal.denied.body', ['scan'], 'cross', 'bad'],
  expired: ['refusal.expired.headline', 'refusal.expired.body', ['scan'], 'clock', ''],
  gone: ['refusal.gone.headline', 'refusal.gone.body', ['see'], 'window', ''],
  bad_proof: ['refusal.bad_proof.headline', 'refusal.bad_proof.body', ['reload', 'see'], 'key', 'bad'],
  decided: ['refusal.decided.headline', 'refusal.decided.body', ['see'], 'check', ''],
  already_redeemed: ['refusal.already_redeemed.headline', 'refusal.already_redeemed.body', ['see'], 'warning', 'bad'],
  confirm_first: ['refusal.confirm_first.headline', 'refusal.confirm_first.body', ['scan'], 'type', ''],
  wrong_code: ['refusal.wrong_code.headline', 'refusal.wrong_code.body', ['scan'], 'cross', 'bad'],
  remote_controlled: ['refusal.remote_controlled.headline', 'refusal.remote_controlled.body', ['see'], 'lock', 'warn'],
  seat_locked: ['refusal.seat_locked.headline', 'refusal.seat_locked.body', ['see'], 'lock', 'warn'],
  shared_phone: ['refusal.shared_phone.headline', 'refusal.shared_phone.body', ['see'], 'phone', 'warn'],
  clock: ['refusal.unavailable.headline', 'refusal.unavailable.body', ['reload'], 'pause', 'warn'],
  unavailable: ['refusal.unavailable.headline', 'refusal.unavailable.body', ['reload'], 'pause', 'warn'],
};
TABLE.attestation_needed = ['refusal.attestation_needed.headline', 'refusal.attestation_needed.body', ['reload'], 'key', 'bad'];
TABLE.not_yet = TABLE.confirm_first;
TABLE.no_such_thing = TABLE.gone;
TABLE.refused = TABLE.denied;
TABLE.revoked = TABLE.gone;
TABLE.abandoned = TABLE.gone;

const advice = (sign, text) => el('li', {}, icon(sign, 20), el('span', {}, text));

const farAdvice = () =>
  el(
    'ul.card.advices',
    {},
    advice('near', say('refusal.too_far.network')),
    advice('key', say('refusal.too_far.passkey')),
    advice('warning', say('refusal.too_far.trick')),
  );

const MORE = {
  too_far: farAdvice,
  same_device: () => el('ul.card.advices', {}, advice('key', say('refusal.same_device.passkey'))),
  denied: () => el('p.quiet', {}, say('refusal.denied.help')),
};

/** Shows a refusal by its code. */
export function refusedAs(code, app, { ref = '', sentence = '' } = {}) {
  const [head, body, acts, sign, tone] = TABLE[code];
  screen({
    name: code,
    sign,
    tone,
    head: say(head),
    body: sentence || say(body),
    content: [MORE[code]?.(), reference(ref)],
    dock: acts.map((act) => ACTS[act](app)),
  });
  announce(say(head), true);
}

/** Shows whatever went wrong. */
export function failed(fault, app) {
  if (fault instanceof Unreachable) {
    screen({ name: 'offline', sign: 'offline', tone: 'warn', head: say('phone.offline.headline'), body: say('phone.offline.body'), dock: [wide(say('phone.reload'), () => location.reload())] });
    announce(say('phone.offline.headline'), true);
    return;
  }
  if (fault instanceof Mismatch) {
    screen({ name: 'mismatch', sign: 'warning', tone: 'bad', head: say('phone.mismatch.headline'), body: say('phone.mismatch.body'), dock: [ACTS.scan(app)] });
    announce(say('phone.mismatch.headline'), true);
    return;
  }
  if (fault instanceof Refusal) {
    if (fault.status === 429) {
      const n = Math.max(1, Math.ceil((fault.retry_after_s ?? 60) / 60));
      screen({ name: 'too_many', sign: 'clock', tone: 'warn', head: say('too_many.headline'), body: say('too_many.body', { n }), content: [reference(fault.ref)], dock: [ACTS.scan(app)] });
      announce(say('too_many.headline'), true);
      return;
    }
    if (TABLE[fault.code]) {
      refusedAs(fault.code, app, { ref: fault.ref, sentence: ['denied', 'gone', 'remote_controlled'].includes(fault.code) ? fault.say : '' });
      return;
    }
  }
  const ref = fault instanceof Refusal ? fault.ref : '';
  screen({ name: 'broken', sign: 'warning', tone: 'bad', head: say('error.headline'), body: say(ref ? 'error.help' : 'error.body_bare'), content: [reference(ref)], dock: [ACTS.reload(app)] });
  announce(say('error.headline'), true);
}
