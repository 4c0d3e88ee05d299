// The log in sentences, for those who run the server: what happened, why, and whom it concerned. Nobody is named here.
import { el, icon, linkButton, name } from './dom.js';
import { parts, say, timeOfDay, dayOf } from './say.js';

/** The refusal's code in words */
const CODES = {
  malformed: 'operator.code.malformed',
  code_not_live: 'operator.code.code_not_live',
  no_such_ceremony: 'operator.code.no_such_ceremony',
  no_such_flow: 'operator.code.no_such_flow',
  no_such_thing: 'operator.code.no_such_thing',
  too_far: 'operator.code.too_far',
  same_device: 'operator.code.same_device',
  denied: 'operator.code.denied',
  confirm_first: 'operator.code.confirm_first',
  not_yet: 'operator.code.confirm_first',
  wrong_code: 'operator.code.wrong_code',
  pending: 'operator.code.pending',
  expired: 'operator.code.expired',
  gone: 'operator.code.gone',
  decided: 'operator.code.decided',
  bad_proof: 'operator.code.bad_proof',
  use_dpop_nonce: 'operator.code.bad_proof',
  already_redeemed: 'operator.code.already_redeemed',
  too_many: 'operator.code.too_many',
  clock: 'operator.code.clock',
  unavailable: 'operator.code.unavailable',
  invitation_over: 'operator.code.invitation_over',
  attestation_needed: 'operator.code.attestation_needed',
  no_session: 'operator.code.no_session',
  not_recovered: 'operator.code.not_recovered',
  step_up: 'operator.code.step_up',
  locked: 'operator.code.locked',
  posture_old: 'operator.code.posture_old',
  bad_evidence: 'operator.code.bad_evidence',
  slow_down: 'operator.code.slow_down',
  remote_controlled: 'operator.code.remote_controlled',
  seat_locked: 'operator.code.seat_locked',
  shared_phone: 'operator.code.shared_phone',
};

const EFFECTS = {
  none: ['operator.judged.none', 'check', 'good'],
  limit: ['operator.judged.limit', 'warning', 'warn'],
  step_up: ['operator.judged.step_up', 'clock', 'warn'],
  lock: ['operator.judged.lock', 'lock', 'warn'],
};

/** Why a session ended; a rule's own sentence stands beside it */
const ENDS = {
  signed_out: 'operator.ended.signed_out',
  from_device: 'operator.ended.from_device',
  next_person: 'operator.ended.next_person',
  vouched_again: 'operator.ended.vouched_again',
  idle: 'operator.ended.idle',
  absolute: 'operator.ended.absolute',
  operator: 'operator.ended.operator',
  touched: 'operator.ended.touched',
  client_asked: 'operator.ended.client_asked',
  not_me: 'operator.ended.not_me',
  suspended: 'operator.ended.suspended',
  lost: 'operator.ended.lost',
  revoked: 'operator.ended.revoked',
  locked: 'operator.ended.locked',
  ended: 'operator.ended.person',
};

const STATES = {
  active: 'operator.device.active',
  pending: 'operator.device.pending',
  suspended: 'operator.device.suspended',
  lost: 'operator.device.lost',
  revoked: 'operator.device.revoked',
  retired: 'operator.device.revoked',
};

const SIGNALS = {
  'device.compromised': 'operator.signal.compromised',
  'device.noncompliant': 'operator.signal.noncompliant',
  'device.risk_high': 'operator.signal.risk_high',
  'device.risk_medium': 'operator.signal.risk_medium',
  'device.silent': 'operator.signal.silent',
  'device.gone': 'operator.signal.device_gone',
  'device.cloned': 'operator.signal.cloned',
  'device.network_changed': 'operator.signal.network',
  'person.risk_high': 'operator.signal.person_high',
  'person.risk_medium': 'operator.signal.person_medium',
  'person.credential_changed': 'operator.signal.credential',
  'person.assurance_lowered': 'operator.signal.assurance',
  'session.network_changed': 'operator.signal.network',
  'session.place_changed': 'operator.signal.place',
  'session.rate_odd': 'operator.signal.rate',
  'session.silent': 'operator.signal.screen_silent',
  'session.gone': 'operator.signal.screen_gone',
  'session.key_refused': 'operator.signal.key_refused',
  'session.remote_controlled': 'operator.signal.remote',
  'terminal.remote_controlled': 'operator.signal.remote',
};

const ACTS = {
  end_session: 'operator.act.end_session',
  suspend_device: 'operator.act.suspend_device',
  end_touched: 'operator.act.end_touched',
  begin_recovery: 'operator.act.begin_recovery',
};

const OTHER = {
  'ceremony.opened': ['story.opened', 'screen', ''],
  'ceremony.scanned': ['operator.line.scanned', 'phone', ''],
  'ceremony.confirmed': ['story.confirmed', 'type', ''],
  'ceremony.approved': ['operator.line.approved', 'check', 'good'],
  'ceremony.redeemed': ['story.redeemed', 'check', 'good'],
  'ceremony.expired': ['story.expired', 'clock', ''],
  'ceremony.abandoned': ['story.abandoned', 'cross', ''],
  'ceremony.refused': ['operator.line.refused', 'cross', 'bad'],
  'ceremony.revoked': ['operator.line.revoked', 'lock', 'bad'],
  'session.opened': ['story.session_opened', 'check', 'good'],
  'person.not_me': ['operator.line.not_me', 'warning', 'bad'],
  'source.quarantined': ['operator.line.quarantined', 'pause', 'warn'],
  'refresh.replayed': ['story.refresh_replayed', 'warning', 'bad'],
  'code.replayed': ['story.code_replayed', 'warning', 'bad'],
  'recovery.begun': ['operator.line.recovery_begun', 'key', 'warn'],
  'recovery.approved': ['operator.line.recovery_approved', 'key', 'warn'],
  'recovery.stopped': ['operator.line.recovery_stopped', 'lock', ''],
  'recovery.taken': ['operator.line.recovery_taken', 'key', 'warn'],
  'recovery.code_used': ['operator.line.recovery_code', 'key', 'warn'],
  'operator.entered': ['operator.line.entered', 'person', ''],
  'glass.used': ['operator.line.glass_used', 'key', 'warn'],
  'glass.doubted': ['operator.line.glass_doubted', 'warning', 'bad'],
  'glass.reviewed': ['operator.line.glass_reviewed', 'check', 'good'],
};

const PEOPLE = {
  active: 'operator.line.person_active',
  locked: 'operator.line.person_locked',
  ended: 'operator.line.person_ended',
};

/** An application, by its registered name; this page itself has no other */
export const application = (id) => (id === 'countersign-operator' ? say('operator.closed.headline') : name(id));

/** A device's life in words */
export const state = (word) => say(STATES[word] ?? 'operator.device.other');

/** News about somebody or something in words */
export const news = (word) => (SIGNALS[word] ? say(SIGNALS[word]) : word);

/** What a line says: sentence, sign, tone */
function told({ kind, code, facts }) {
  switch (kind) {
    case 'step.refused':
      return [say(CODES[code] ?? 'operator.code.other'), 'cross', 'bad'];
    case 'session.judged': {
      const [sentence, sign, tone] = EFFECTS[facts.effect] ?? EFFECTS.lock;
      return [say(sentence), sign, tone];
    }
    case 'session.ended':
      return [say(ENDS[facts.why] ?? 'operator.ended.rule'), 'lock', facts.policies ? 'bad' : ''];
    case 'device.changed':
      return [state(facts.state), 'phone', facts.state === 'active' ? 'good' : 'bad'];
    case 'signal.raised':
      return [news(facts.signal), 'warning', 'warn'];
    case 'signal.cleared':
      return [say('operator.line.cleared', { news: news(facts.signal) }), 'check', 'good'];
    case 'person.changed':
      return [say(facts.role ? 'operator.line.role' : (PEOPLE[facts.state] ?? 'operator.line.person')), 'person', ''];
    case 'operator.acted':
      return [say(ACTS[facts.act] ?? 'operator.act.other'), 'person', 'act'];
    default: {
      const [sentence, sign, tone] = OTHER[kind] ?? ['operator.line.other', 'window', ''];
      return [say(sentence), sign, tone];
    }
  }
}

/** The end of a pseudonym: enough to tell two apart */
const short = (id) => id.slice(-6);

/** One line. `see({ id })` looks at its person. */
export function row(line, see) {
  const { at, code, says, person, client, facts } = line;
  const [sentence, sign, tone] = told(line);
  const ms = at * 1000;
  const today = ms >= new Date().setHours(0, 0, 0, 0);
  const more = [
    client && el('span', {}, application(client)),
    facts.because && el('span', {}, facts.because),
    code && el('span.mono', {}, code),
    facts.ref && el('span.mono', {}, facts.ref),
  ].filter(Boolean);
  return el(
    'li',
    {},
    el('time', { datetime: new Date(ms).toISOString() }, today ? timeOfDay(ms) : `${dayOf(ms)}, ${timeOfDay(ms)}`),
    el(['span', tone].filter(Boolean).join('.'), {}, icon(sign)),
    el(
      'div',
      {},
      el('p', {}, sentence),
      (says ?? []).map((one) => el('p.small.quiet', {}, one)),
      more.length > 0 && el('p.tiny.quiet.facts', {}, more),
    ),
    person && el('p.links', {}, linkButton(el('span', {}, parts('operator.line.who', { who: el('span.mono', {}, short(person)) })), () => see({ id: person }), { 'aria-label': say('operator.line.who_named', { who: short(person) }) })),
  );
}

/** Several of them */
export const rows = (lines, see) => (lines.length ? el('ol.acts', {}, lines.map((line) => row(line, see))) : el('p.quiet', {}, say('operator.nothing')));
