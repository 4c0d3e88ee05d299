// What happened, in sentences. An event without a sentence here is not shown: kinds are for the log, not for people.
import { el, icon, linkButton, name } from './dom.js';
import { dayOf, parts, say, timeOfDay } from './say.js';

// kind, and where it matters what for: sentence with a screen, sentence without, sign, tone
const KINDS = {
  'ceremony.redeemed': ['activity.signed_in', 'activity.signed_in_unknown', 'check', 'good'],
  'ceremony.redeemed for vouch': ['activity.vouched', 'activity.vouched', 'check', 'good'],
  'ceremony.redeemed for right': ['activity.gave_right', 'activity.gave_right', 'check', 'good'],
  'ceremony.redeemed for tool-call': ['activity.let_call', 'activity.let_call', 'check', 'good'],
  'ceremony.redeemed for recover': ['activity.let_in', 'activity.let_in', 'check', 'good'],
  'ceremony.redeemed for enrol-device': ['activity.added', 'activity.added', 'check', 'good'],
  'ceremony.refused': ['activity.refused', 'activity.refused_unknown', 'cross', 'bad'],
  'ceremony.expired': ['activity.expired', 'activity.expired_unknown', 'clock', 'plain'],
  'ceremony.abandoned': ['activity.abandoned', 'activity.abandoned_unknown', 'clock', 'plain'],
  'ceremony.revoked': ['activity.revoked', 'activity.revoked_unknown', 'lock', 'bad'],
  'person.not_me': ['activity.not_me', 'activity.not_me', 'warning', 'bad'],
  'passkey.used': ['activity.passkey', 'activity.passkey_unknown', 'check', 'good'],
  'session.ended': ['activity.ended', 'activity.ended_unknown', 'lock', 'plain'],
  'device.enrolled': ['activity.device_enrolled', 'activity.device_enrolled', 'plus', 'plain'],
  'device.rebound': ['activity.device_rebound', 'activity.device_rebound', 'key', 'plain'],
  'recovery.codes_made': ['activity.codes_made', 'activity.codes_made', 'key', 'plain'],
  'recovery.code_used': ['activity.code_used', 'activity.code_used', 'key', 'bad'],
  'recovery.approved': ['activity.recovery', 'activity.recovery', 'warning', 'bad'],
  'recovery.begun': ['activity.recovery', 'activity.recovery', 'warning', 'bad'],
  'recovery.stopped': ['activity.recovery_stopped', 'activity.recovery_stopped', 'lock', 'plain'],
  'device.changed': ['activity.device_changed', 'activity.device_changed', 'phone', 'plain'],
  'invitation.made': ['activity.invitation', 'activity.invitation', 'mail', 'plain'],
};

const OPENED = ['ceremony.redeemed', 'passkey.used'];

/** Seconds, milliseconds or microseconds since 1970, as milliseconds */
export const moment = (at) => (at > 1e14 ? at / 1000 : at > 1e11 ? at : at * 1000);

function day(ms) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (ms >= midnight) return say('activity.today');
  return ms >= midnight - 86_400_000 ? say('activity.yesterday') : dayOf(ms);
}

/** Sections by day, newest first. `look(cid)` shows a story; `disown(cid)` says "not me". */
export function activity(items, { look, disown }) {
  const days = new Map();
  for (const item of items) {
    if (!KINDS[item.kind]) continue;
    const label = day(moment(item.at));
    if (!days.has(label)) days.set(label, []);
    days.get(label).push(item);
  }
  return [...days].map(([label, list]) =>
    el('section', {}, el('h2', {}, label), el('ol.acts', {}, list.map((item) => row(item, { look, disown })))),
  );
}

function row(item, { look, disown }) {
  const [known, unknown, sign, tone] = KINDS[`${item.kind} for ${item.purpose}`] ?? KINDS[item.kind];
  const sentence = item.screen ? parts(known, { screen: el('strong', {}, name(item.screen)) }) : say(unknown);
  const links = [
    item.cid && linkButton(say('activity.story'), () => look(item.cid)),
    item.cid && OPENED.includes(item.kind) && linkButton(say('activity.disown'), () => disown(item.cid)),
  ].filter(Boolean);
  const mark = el(`span.${tone}`, {}, icon(sign, 22));
  return el('li', {}, el('time', {}, timeOfDay(moment(item.at))), mark, el('span', {}, sentence), links.length > 0 && el('div.links', {}, links));
}
