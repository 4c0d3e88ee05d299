// The story of one sign-in: what happened when, and what protected it. For people, not for auditors.
import { moment } from './activity.js';
import { ask } from './device.js';
import { el, ground, icon } from './dom.js';
import { screen, wide } from './page.js';
import { failed } from './refusals.js';
import { dayOf, say, timeOfDay } from './say.js';

// kind: sentence, sign, tone
const STEPS = {
  'ceremony.opened': ['story.opened', 'screen', ''],
  'ceremony.scanned': ['story.scanned', 'phone', 'act'],
  'ceremony.confirmed': ['story.confirmed', 'type', 'act'],
  'ceremony.approved': ['story.approved', 'check', 'good'],
  'ceremony.refused': ['story.refused', 'cross', 'bad'],
  'ceremony.redeemed': ['story.redeemed', 'open', 'good'],
  'ceremony.claimed': ['story.claimed', 'open', 'good'],
  'ceremony.expired': ['story.expired', 'clock', ''],
  'ceremony.abandoned': ['story.abandoned', 'window', ''],
  'ceremony.revoked': ['story.revoked', 'lock', 'bad'],
  'step.refused': ['story.step_refused', 'cross', 'bad'],
  'person.not_me': ['story.not_me', 'warning', 'bad'],
  'session.opened': ['story.session_opened', 'open', 'good'],
  'session.ended': ['story.session_ended', 'lock', ''],
  'code.issued': ['story.code_issued', 'check', ''],
  'tokens.issued': ['story.tokens_issued', 'check', ''],
  'refresh.replayed': ['story.refresh_replayed', 'warning', 'bad'],
  'code.replayed': ['story.code_replayed', 'warning', 'bad'],
};

/** The 17 protections, by their number */
const PROTECTIONS = {
  1: 'protection.near',
  2: 'protection.short',
  3: 'protection.once',
  4: 'protection.unique',
  5: 'protection.filter',
  6: 'protection.replay',
  7: 'protection.registered',
  8: 'protection.network',
  9: 'protection.limited',
  10: 'protection.brief',
  11: 'protection.budgets',
  12: 'protection.bound',
  13: 'protection.advice',
  14: 'protection.shown',
  15: 'protection.before',
  16: 'protection.typed',
  17: 'protection.start',
};

/** What decided, by the word the server uses */
const WHY = {
  strong_nearness: 'why.strong_nearness',
  same_network: 'why.same_network',
  nothing_shows_nearness: 'why.nothing_shows_nearness',
  within_120_s: 'why.within_120_s',
  within_600_s: 'why.within_600_s',
  longer: 'why.longer',
  compare_and_swap: 'why.compare_and_swap',
  typed_user_code: 'why.typed_user_code',
  server_made_128_bits: 'why.server_made_128_bits',
  operator_declares_filter: 'why.operator_declares_filter',
  fixed_prefix: 'why.fixed_prefix',
  replay_revokes_and_client_is_told: 'why.replay_revokes_and_client_is_told',
  revoked_here_only: 'why.revoked_here_only',
  policy_cut_rights: 'why.policy_cut_rights',
  list_exists_nothing_cut: 'why.list_exists_nothing_cut',
  no_list: 'why.no_list',
  access_10_min_session_12_h: 'why.access_10_min_session_12_h',
  access_60_min: 'why.access_60_min',
  session_and_tokens: 'why.session_and_tokens',
  session_only: 'why.session_only',
  page_shown_refuse_first: 'why.page_shown_refuse_first',
  software_phone_or_quick: 'why.software_phone_or_quick',
  typed_on_terminal: 'why.typed_on_terminal',
  typed_on_device: 'why.typed_on_device',
  nothing_typed: 'why.nothing_typed',
  unknown_terminal: 'why.unknown_terminal',
  no_listed_network: 'why.no_listed_network',
  budgets_on: 'why.budgets_on',
  advice_was_shown: 'why.advice_was_shown',
  not_signed_in_before: 'why.not_signed_in_before',
  no_start_number: 'why.no_start_number',
};

const VERDICTS = {
  met: ['story.met', 'good', 'check'],
  partial: ['story.partial', 'warn', 'clock'],
  not: ['story.not', '', 'cross'],
};

/** Time since the opening, as people say it */
function since(ms) {
  if (ms < 60_000) return say('story.seconds', { n: (ms / 1000).toFixed(1) });
  return say('story.minutes', { n: Math.round(ms / 60_000) });
}

function step(event, start) {
  const [sentence, sign, tone] = STEPS[event.kind];
  const code = event.code && el('p', {}, el('span.mono', {}, event.code));
  return el('li', {}, el('time', {}, since(moment(event.at) - start)), ground(sign, tone), el('div', {}, el('strong', {}, say(sentence)), code));
}

function protection({ n, verdict, because }) {
  const [word, tone, sign] = VERDICTS[verdict] ?? VERDICTS.not;
  return el(
    'li',
    {},
    el(['span', 'chip', tone].filter(Boolean).join('.'), {}, icon(sign, 16), say(word)),
    el('strong', {}, say(PROTECTIONS[n])),
    WHY[because] && el('p.small.quiet', {}, say(WHY[because])),
  );
}

/** Shows the story of `cid`; `back` leads to where it was asked for. */
export async function story(device, cid, { app, back }) {
  try {
    const { events, verdicts } = await ask(device, 'GET', `/device/ceremonies/${encodeURIComponent(cid)}/story`);
    const told = events.filter((event) => STEPS[event.kind]);
    const start = told.length ? moment(told[0].at) : 0;
    screen({
      name: 'story',
      head: say('story.headline'),
      body: told.length > 0 && say('story.when', { day: dayOf(start), time: timeOfDay(start) }),
      content: [
        told.length > 0 && el('ol.card.line', {}, told.map((event) => step(event, start))),
        el('h2', {}, say(verdicts.length ? 'story.protections' : 'story.no_protections')),
        verdicts.length > 0 && el('ul.card.verdicts', {}, verdicts.filter(({ n }) => PROTECTIONS[n]).map(protection)),
      ],
      dock: [wide(say('story.back'), back)],
    });
  } catch (fault) {
    failed(fault, app);
  }
}
