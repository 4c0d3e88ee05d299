// A statement in words. Names and quotations come from outside and are marked as such; everything else is ours.
import { el, icon, name, plate } from './dom.js';
import { parts, say, span, timeOfDay } from './say.js';

/** Registered screens have a name of their own; nobody else may look as if they had one. */
export const isRegistered = ({ terminal }) => Boolean(terminal.plate?.name);

/** How a screen is called inside a sentence */
export const screenName = (said) => (isRegistered(said) ? name(said.terminal.plate.name) : say('screen.unknown'));

/** What the new device wants to be called; which browser it is, is told in its row */
const newDevice = (said) => said.request.message ?? said.terminal.agent;

/** The question */
export function question(said) {
  const registered = isRegistered(said);
  switch (said.purpose) {
    case 'enrol-device':
      return parts('statement.enrol_device', { device: name(newDevice(said)) });
    case 'right':
      return parts('statement.right', { name: name(said.request.message ?? '') });
    case 'vouch':
      return parts('statement.vouch', { name: name(said.request.message ?? ''), plate: plate(said.terminal.plate?.name ?? '') });
    case 'recover':
      return parts('statement.recover', { name: name(said.request.message ?? '') });
    case 'tool-call':
      return parts('statement.tool_call', { agent: name(said.terminal.agent) });
    case 'step-up':
      return registered ? parts('statement.step_up', { screen: plate(said.terminal.plate.name) }) : say('statement.step_up_unknown');
    default:
      if (said.terminal.kind === 'application') return parts('statement.application', { client: name(said.client.name) });
      if (said.terminal.kind === 'service') return parts('statement.service', { client: name(said.client.name) });
      return registered ? parts('statement.sign_in', { plate: plate(said.terminal.plate.name) }) : say('statement.sign_in_unknown');
  }
}

/** Registered, and where it belongs */
const SITE = ['site', 'attested_site'];

/** How near the screen is shown to be, strong to none */
function nearness(said) {
  if (said.near.some((one) => SITE.includes(one)) && isRegistered(said)) return { far: false, text: parts('near.site', { site: name(said.terminal.plate.place) }) };
  if (said.near.includes('badge')) return { far: false, text: say('near.badge') };
  if (said.near.includes('same_network')) return { far: false, text: say('near.same_network') };
  if (said.near.length > 0) return { far: false, text: say('near.perhaps') };
  return { far: true, text: say('near.nothing') };
}

const SCOPES = {
  openid: 'scope.openid',
  profile: 'scope.profile',
  email: 'scope.email',
  offline_access: 'scope.offline_access',
  operate: 'scope.operate',
};

/** What the approval is worth to whoever asks */
const BOUNDARIES = {
  approval: 'boundary.approval',
  session: 'boundary.session',
  tokens: 'boundary.tokens',
};

/** Rights as people read them: known ones in words, others by their registered name */
export const rights = (scopes) => scopes.map((scope) => (SCOPES[scope] ? say(SCOPES[scope]) : name(scope)));

/** What is opened for a while only, each with its time */
const timed = ({ rights: { timed: list = [] } }) =>
  list.map(({ scope, for_s }) => row('clock', say('statement.timed'), rights([scope])[0], el('dd.detail', {}, say('statement.timed_for', { span: span(for_s) }))));

/** Scopes that last as long as the session */
const lasting = ({ rights: { scopes, timed: list = [] } }) => scopes.filter((scope) => !list.some((one) => one.scope === scope));

const listed = (items) => items.flatMap((item, at) => (at === 0 ? [item] : [', ', item]));

const row = (sign, label, value, ...details) =>
  el('div', {}, icon(sign), el('dt', {}, label), el('dd', {}, value), details.flat().map((one) => (one?.tagName === 'DD' ? one : one && el('dd.detail', {}, one))));

/** What one requested detail would do, and all of it, row by row */
const detail = (one) =>
  row('open', say('statement.allows'), name(one.title), one.rows.map(({ label, value }) => el('dd.pair', {}, el('span', {}, name(label)), ' ', el('bdi', {}, value))));

/** Whether nothing is opened for any application: a device joins, or comes back */
export const isOwn = ({ purpose }) => purpose === 'enrol-device' || purpose === 'recover';

/** The statement card: who asks, which screen and how near, what it opens, for how long, as whom */
export function card(said, me) {
  const near = nearness(said);
  const registered = isRegistered(said);
  const asDevice = isOwn(said);
  const back = said.purpose === 'recover';
  const until = timeOfDay(Date.now() + said.rights.session_s * 1000);
  const screen = row(
    registered ? 'screen' : said.terminal.kind === 'device' ? 'phone' : 'laptop',
    say(asDevice ? 'statement.device' : 'statement.screen'),
    registered ? name(said.terminal.plate.place) : name(said.terminal.agent || say('screen.unknown')),
    el(near.far ? 'dd.detail.far' : 'dd.detail', {}, registered && `${say(said.terminal.plate.attested ? 'near.attested' : 'near.registered')} `, near.text),
  );
  const opens = row(
    'open',
    say('statement.opens'),
    name(said.client.name),
    said.client.redirect_host && name(said.client.redirect_host),
    lasting(said).length > 0 && el('dd.detail', {}, listed(rights(lasting(said)))),
    BOUNDARIES[said.boundary] && el('dd.detail', {}, say(BOUNDARIES[said.boundary])),
    said.request.message && !['right', 'vouch'].includes(said.purpose) && el('dd.detail', {}, parts('statement.message', { message: name(said.request.message) })),
  );
  return el(
    'dl.card.rows',
    {},
    said.request.details.map(detail),
    back && row('person', say('statement.recover_who'), name(said.request.message ?? ''), say('statement.recover_look')),
    screen,
    asDevice ? null : opens,
    timed(said),
    asDevice || said.rights.session_s <= 0 ? null : row('clock', say('statement.for'), say('statement.for_until', { span: span(said.rights.session_s), time: until })),
    row('person', say('statement.as'), name(me ?? '')),
  );
}
