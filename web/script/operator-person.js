// One person on the operator's page: devices, what is open, and what an operator may take away.
import { announce, button, el, ground, icon, name, plate } from './dom.js';
import { moment } from './activity.js';
import { application, news, state } from './operator-words.js';
import { decide, pressing, screen, wide } from './page.js';
import { dayOf, parts, say, timeOfDay } from './say.js';
import { RESTS } from './watch.js';

const ROLES = { member: 'operator.role.member', supervisor: 'operator.role.supervisor', recovery_officer: 'operator.role.recovery_officer', administrator: 'operator.role.administrator', operator: 'operator.role.operator' };
const PERSON = { invited: 'operator.person.invited', active: 'operator.person.active', locked: 'operator.person.locked', ended: 'operator.person.ended' };
const HEALTH = {
  managed: ['operator.health.managed', 'operator.health.not_managed'],
  compliant: ['operator.health.compliant', 'operator.health.not_compliant'],
  disk_encrypted: ['operator.health.disk_encrypted', 'operator.health.not_disk_encrypted'],
  screen_lock: ['operator.health.screen_lock', 'operator.health.not_screen_lock'],
  secure_boot: ['operator.health.secure_boot', 'operator.health.not_secure_boot'],
  tpm: ['operator.health.tpm', 'operator.health.not_tpm'],
  rooted: ['operator.health.rooted', 'operator.health.not_rooted'],
  agent_running: ['operator.health.agent_running', 'operator.health.not_agent_running'],
};
const BAD = { rooted: 'yes' };

const when = (seconds) => `${dayOf(moment(seconds))}, ${timeOfDay(moment(seconds))}`;

/** Asks first, does it, and shows the person as things stand then. */
function sure({ head, body, yes, path, json, done }, leads) {
  screen({
    name: 'operator_sure',
    sign: 'warning',
    tone: 'warn',
    head,
    body: say(body),
    content: [el('p.small.quiet', {}, say('operator.recorded'))],
    dock: [
      decide(
        button(say('operator.leave_it'), leads.again, { tone: 'ink' }),
        pressing(say(yes), async () => {
          try {
            await done(await leads.ask('POST', path, json));
          } catch (fault) {
            leads.failed(fault, leads.again);
          }
        }),
      ),
    ],
  });
}

/** Shows somebody. Of `leads`, `ask` asks the server, `again` looks once more, `home` goes back to what happened. */
export async function person(one, leads) {
  const after = (key) => async () => {
    await leads.again();
    announce(say(key), true);
  };
  const facts = el('p.quiet', {}, [one.login, say(ROLES[one.role] ?? 'operator.role.member'), say(PERSON[one.state] ?? 'operator.person.active')].flatMap((part, at) => (at ? [' · ', part] : [name(part)])));
  screen({
    name: 'operator_person',
    wide: true,
    content: [
      el('section', {}, el('div.head', {}, el('h1', { tabindex: '-1' }, name(one.name)), button(say('story.back'), leads.home, { extra: 'slim' })), facts, notes(one.signals)),
      el('section', {}, el('h2', {}, say(one.devices.length ? 'operator.devices' : 'operator.no_devices')), el('div.devices', {}, one.devices.map((device) => deviceCard(device, leads, after)))),
      el('section', {}, el('h2', {}, say(one.sessions.length ? 'sessions.headline' : 'sessions.empty')), one.sessions.length > 0 && el('div.card', {}, one.sessions.map((session) => sessionRow(session, one.devices, leads, after)))),
      one.state === 'active' &&
        el(
          'section',
          {},
          el('h2', {}, say('operator.recovery.headline')),
          el('p.quiet', {}, say('operator.recovery.body')),
          el('div.pair', {}, pressing(say('operator.recovery.begin'), () => recover(one, leads), { extra: 'slim' })),
        ),
    ].filter(Boolean),
  });
}

const notes = (signals) => signals.length > 0 && el('div.stack', {}, signals.map((one) => el('p.notice.warn', {}, icon('warning'), el('span', {}, news(one)))));

const tone = (word) => (word === 'active' ? 'good' : word === 'pending' ? 'warn' : 'bad');

function deviceCard(device, leads, after) {
  const path = `/operator/devices/${encodeURIComponent(device.id)}`;
  const named = (key) => ({ extra: 'slim', 'aria-label': say(key, { device: device.name }) });
  const health = Object.entries(device.health).filter(([question]) => HEALTH[question]);
  const stop = () => sure({ head: parts('operator.suspend.headline', { device: name(device.name) }), body: 'operator.suspend.body', yes: 'operator.suspend.yes', path: `${path}/suspend`, json: {}, done: after('operator.suspend.done') }, leads);
  return el(
    'article.card.device',
    {},
    el('div.head', {}, ground('phone'), el(`span.chip.${tone(device.state)}`, {}, state(device.state))),
    el(
      'div',
      {},
      el('h3', {}, name(device.name)),
      el('p.small.quiet', {}, device.seen_at ? say('operator.seen', { when: when(device.seen_at) }) : say('operator.never_spoke')),
      device.phone && el('p.small.quiet', {}, parts('operator.seat', { phone: plate(device.phone) })),
      device.limited_until && el('p.small.quiet', {}, say('devices.limited', { time: when(device.limited_until) })),
    ),
    notes(device.signals),
    health.length > 0 && el('ul.health.small', {}, health.map(([question, answer]) => healthLine(question, answer))),
    el(
      'div.pair',
      {},
      device.state === 'active' && pressing(say('operator.suspend.press'), stop, named('operator.suspend.named')),
      pressing(say('operator.touched.press'), () => touched(device, leads), named('operator.touched.named')),
    ),
  );
}

function healthLine(question, answer) {
  const good = answer !== (BAD[question] ?? 'no');
  const [yes, no] = HEALTH[question];
  return el('li', {}, el(good ? 'span.good' : 'span.bad', {}, icon(good ? 'check' : 'cross', 18)), el('span', {}, say(answer === 'yes' ? yes : no)));
}

function sessionRow(session, devices, leads, after) {
  const by = devices.find((one) => one.id === session.device);
  const path = `/operator/sessions/${encodeURIComponent(session.id)}/end`;
  const rests = session.standing;
  const end = () => sure({ head: parts('operator.end.headline', { screen: name(session.screen) }), body: 'operator.end.body', yes: 'operator.end.yes', path, json: {}, done: after('operator.end.done') }, leads);
  return el(
    'div.session',
    {},
    ground('laptop'),
    el(
      'div',
      {},
      el('h3', {}, name(session.screen)),
      el('p.small.quiet', {}, session.clients.flatMap((client, at) => (at ? [', ', application(client)] : [application(client)]))),
      by && el('p.small.quiet', {}, parts('sessions.opened_with', { device: name(by.name), time: when(session.opened_at) })),
      rests && el('p.notice.warn', {}, icon('lock'), el('span', {}, rests.say || say(RESTS[rests.effect] ?? 'session.lock'))),
      notes(session.signals),
    ),
    el('p.time', {}, say('operator.until', { when: when(session.until) })),
    pressing(say('sessions.end'), end, { extra: 'slim', 'aria-label': say('sessions.end_named', { screen: session.screen }) }),
  );
}

// Looking back

const KINDS = [
  ['sessions', 'operator.touched.sessions', (one) => one.lives],
  ['grants', 'operator.touched.grants', (one) => one.lives],
  ['ceremonies', 'operator.touched.requests', (one) => one.lives],
  ['let_in', 'operator.touched.let_in', (one) => one.state === 'active'],
];

const counts = (report) =>
  el(
    'dl.card.rows',
    {},
    KINDS.map(([member, label, lives]) => {
      const living = report[member].filter(lives).length;
      return el('div', {}, icon(living ? 'warning' : 'check'), el('dt', {}, say(label)), el('dd', {}, report[member].length ? say('operator.touched.count', { all: report[member].length, n: living }) : say('operator.touched.none')));
    }),
  );

async function touched(device, leads) {
  const path = `/operator/devices/${encodeURIComponent(device.id)}/touched`;
  try {
    const report = await leads.ask('GET', path);
    const living = KINDS.reduce((sum, [member, , lives]) => sum + report[member].filter(lives).length, 0);
    const undo = () =>
      sure({ head: parts('operator.touched.sure', { device: name(device.name) }), body: 'operator.touched.sure_body', yes: 'operator.touched.yes', path: `${path}/end`, json: {}, done: ({ lived, after: left }) => undone(device, lived, left, leads) }, leads);
    screen({
      name: 'operator_touched',
      head: parts('operator.touched.headline', { device: name(device.name) }),
      body: say('operator.touched.body', { when: dayOf(moment(report.since)) }),
      content: [counts(report)],
      dock: [living > 0 && wide(say('operator.touched.end'), undo, { tone: 'ink' }), wide(say('story.back'), leads.again)].filter(Boolean),
    });
  } catch (fault) {
    leads.failed(fault, leads.again);
  }
}

function undone(device, lived, report, leads) {
  const head = say('operator.touched.done', { n: lived });
  screen({ name: 'operator_undone', sign: 'lock', tone: 'good', head, body: parts('operator.touched.done_body', { device: name(device.name) }), content: [counts(report)], dock: [wide(say('story.back'), leads.again)] });
  announce(head, true);
}

// Getting back in

function recover(one, leads) {
  const done = ({ address, login, vouchers }) => {
    screen({
      name: 'operator_recovery',
      sign: 'key',
      tone: 'act',
      head: parts('operator.recovery.begun', { name: name(one.name) }),
      body: say('operator.recovery.begun_body'),
      content: [
        el('ol.steps', {}, el('li', {}, el('span', {}, parts('operator.recovery.step_open', { address: el('span.mono', {}, address) }))), el('li', {}, el('span', {}, parts('operator.recovery.step_name', { login: el('span.mono', {}, login) }))), el('li', {}, el('span', {}, say('operator.recovery.step_two'))), el('li', {}, el('span', {}, say('operator.recovery.step_wait')))),
        el('h2', {}, say('operator.recovery.who')),
        vouchers.length > 0 ? el('ul.stack', {}, vouchers.map((who) => el('li', {}, name(who)))) : el('p.notice.warn', {}, icon('warning'), el('span', {}, say('operator.recovery.nobody'))),
      ],
      dock: [wide(say('story.back'), leads.again)],
    });
    announce(say('operator.recovery.aloud'), true);
  };
  sure({ head: parts('operator.recovery.sure', { name: name(one.name) }), body: 'operator.recovery.sure_body', yes: 'operator.recovery.yes', path: '/operator/people/recovery', json: { id: one.id }, done }, leads);
}
