// From a scan to a decision. Digits come first where they are asked; then the statement is read; then, and only with a face,
// a fingerprint or a PIN, it is approved. Refusing is possible at every moment and costs nothing.
import { Refusal } from './call.js';
import { Countdown } from './countdown.js';
import { card, isOwn, isRegistered, question, screenName } from './describe.js';
import { ask } from './device.js';
import { digitForm, shownDigits } from './digits.js';
import { announce, button, el, icon, plate, Tally } from './dom.js';
import { Deadline } from './frame.js';
import { decide as sideBySide, pressing, screen, whoIs, wide } from './page.js';
import * as passkey from './passkey.js';
import { pause } from './pause.js';
import { refused } from './refused.js';
import { failed, refusedAs } from './refusals.js';
import { parts, say, span, timeOfDay } from './say.js';
import { decide, read } from './statement.js';

const READ_MS = 2_000;
const LOOK_MS = 1_500;
const ENDED = ['refused', 'expired', 'abandoned', 'revoked'];

export class Approval {
  #device;
  #app;
  #view;
  #checked;
  #deadline;
  #over = false;

  /** `view` is what the server answered to the scan; `app` leads to other screens. */
  constructor(device, view, app) {
    this.#device = device;
    this.#view = view;
    this.#app = app;
  }

  get #said() {
    return this.#checked.said;
  }

  get #path() {
    return `/device/ceremonies/${encodeURIComponent(this.#view.cid)}`;
  }

  #me() {
    return this.#view.me ?? this.#device.person;
  }

  /** Goes through it. */
  async run() {
    try {
      this.#checked = await read(this.#view, this.#device, location.origin);
      this.#deadline = new Deadline(this.#view.left_ms);
      whoIs(this.#me());
      this.#expire();
      await this.#digits();
      if (!this.#over) this.#statement();
    } catch (fault) {
      this.#fail(fault);
    }
  }

  #fail(fault) {
    if (this.#over) return;
    this.#over = true;
    failed(fault, this.#app);
  }

  async #expire() {
    while (!this.#over) {
      await pause(250);
      if (this.#over || this.#deadline.left_ms > 0) continue;
      this.#over = true;
      refusedAs('expired', this.#app);
    }
  }

  #countdown() {
    return new Countdown(this.#deadline, Math.max(120_000, this.#view.left_ms)).run();
  }

  #refuseButton() {
    return pressing(say('phone.refuse'), () => this.#refuse(), { tone: 'ink', sign: 'cross' });
  }

  /** Both directions, one after the other; what is asked is the server's word. */
  async #digits() {
    const both = this.#view.ask === 'both';
    if (this.#view.ask === 'show' || both) await this.#show(both && { n: 1, of: 2 });
    if (!this.#over && (this.#view.ask === 'type' || both)) await this.#type(both && { n: 2, of: 2 });
  }

  async #show(which) {
    const { digits } = this.#view;
    const body = isRegistered(this.#said)
      ? parts('phone.digits_shown.body', { screen: plate(this.#said.terminal.name) })
      : say('phone.digits_shown.body_unknown');
    screen({
      name: 'digits_shown',
      sign: 'type',
      tone: 'act',
      head: shownDigits(digits),
      body,
      content: [which && el('p.part', {}, say('digits.part', which))],
      dock: [this.#refuseButton(), this.#countdown().words],
    });
    announce(say('phone.digits_shown.aloud', { digits: [...digits].join(' ') }));
    while (!this.#over) {
      await pause(LOOK_MS);
      if (this.#over) return;
      const view = await this.#look();
      if (!view) continue;
      if (ENDED.includes(view.state)) {
        this.#over = true;
        refusedAs(view.state, this.#app);
        return;
      }
      if (view.state !== 'scanned' || (view.ask !== 'show' && view.ask !== 'both')) return;
    }
  }

  /** Asks how it stands; a lost line is not an answer. */
  async #look() {
    try {
      const view = await ask(this.#device, 'GET', this.#path);
      if (!this.#over) this.#deadline = new Deadline(view.left_ms);
      return view;
    } catch (fault) {
      if (fault instanceof Refusal && fault.status < 500 && fault.status !== 429) throw fault;
      return null;
    }
  }

  #type(which) {
    const n = this.#view.n ?? 4;
    return new Promise((resolve) => {
      const send = async (digits) => {
        try {
          await ask(this.#device, 'POST', `${this.#path}/confirm`, { digits });
          resolve();
        } catch (fault) {
          if (this.#over) return;
          if (fault instanceof Refusal && fault.code === 'wrong_code' && fault.left > 0) draw(fault.left);
          else {
            this.#fail(fault);
            resolve();
          }
        }
      };
      const draw = (left) => {
        const { form, field } = digitForm({ n, label: say('phone.digits_asked.label', { n }), send, id: 'digits-form' });
        const wrong = left !== undefined;
        const head = isRegistered(this.#said)
          ? parts('phone.digits_asked.headline', { n, screen: plate(this.#said.terminal.name) })
          : say('phone.digits_asked.headline_unknown', { n });
        screen({
          name: 'digits_asked',
          sign: wrong ? 'warning' : 'type',
          tone: wrong ? 'bad' : 'act',
          head: wrong ? say('refusal.wrong_code.headline') : head,
          body: wrong ? say('phone.digits_asked.wrong', { n: left }) : say('phone.digits_asked.body'),
          content: [which && el('p.part', {}, say('digits.part', which)), form],
          dock: [
            sideBySide(this.#refuseButton(), el('button.button.act', { type: 'submit', form: 'digits-form' }, say('phone.continue'))),
            this.#countdown().words,
          ],
        });
        if (wrong) announce(say('refusal.wrong_code.headline'), true);
        field.input.focus();
      };
      draw();
    });
  }

  #statement() {
    const said = this.#said;
    const ready = performance.now() + READ_MS;
    const label = el('span', {}, say('phone.read_first'));
    const approve = el('button.button.act', { type: 'button', 'aria-disabled': 'true', id: 'approve' }, icon('check', 22), label);
    const waited = setInterval(() => {
      if (performance.now() < ready) return;
      clearInterval(waited);
      approve.removeAttribute('aria-disabled');
      label.textContent = say('phone.approve');
    }, 100);
    // Enter never approves: a key held down, or pressed for something else, must not open a screen.
    approve.addEventListener('keydown', (event) => event.key === 'Enter' && event.preventDefault());
    approve.addEventListener('click', () => {
      if (performance.now() < ready || approve.getAttribute('aria-disabled') === 'true') return;
      approve.setAttribute('aria-disabled', 'true');
      this.#approve();
    });
    const refuse = this.#refuseButton();
    refuse.id = 'refuse';
    screen({
      name: 'statement',
      head: question(said),
      content: [card(said, this.#me()), el('div.notice.warn', {}, icon('warning'), el('p', {}, say('statement.refuse_if')))],
      dock: [sideBySide(refuse, approve), this.#countdown().words],
    });
  }

  async #approve() {
    const stop = new AbortController();
    const refuse = pressing(
      say('phone.refuse'),
      async () => {
        stop.abort();
        await this.#refuse();
      },
      { tone: 'ink', sign: 'cross', extra: 'wide' },
    );
    screen({ name: 'passkey', sign: 'person', tone: 'act', head: say('phone.passkey.headline'), body: say('phone.passkey.body'), dock: [refuse, this.#countdown().words] });
    try {
      // The challenge is the one computed here from the bytes shown, not merely the one that was sent.
      const assertion = await passkey.assertion({ ...this.#view.assertion, challenge: this.#checked.challenge }, stop.signal);
      if (this.#over) return;
      await this.#send('approve', assertion);
      this.#over = true;
      this.#done();
    } catch (fault) {
      if (this.#over || stop.signal.aborted) return;
      if (fault instanceof passkey.NotUsed) this.#notUsed();
      else this.#fail(fault);
    }
  }

  async #send(verb, assertion) {
    const body = await decide(verb, this.#checked, this.#device, assertion);
    return ask(this.#device, 'POST', `${this.#path}/decision`, body);
  }

  #notUsed() {
    screen({
      name: 'passkey_failed',
      sign: 'key',
      head: say('phone.passkey_failed.headline'),
      body: say('phone.passkey_failed.body'),
      dock: [sideBySide(this.#refuseButton(), button(say('phone.try_again'), () => this.#approve(), { tone: 'act' })), this.#countdown().words],
    });
    announce(say('phone.passkey_failed.headline'), true);
  }

  async #refuse() {
    try {
      this.#over = true;
      await this.#send('refuse');
      this.#refused();
    } catch (fault) {
      if (fault instanceof Refusal && ['gone', 'expired', 'decided', 'no_such_ceremony'].includes(fault.code)) this.#refused();
      else failed(fault, this.#app);
    }
  }

  #refused() {
    refused({
      body: isRegistered(this.#said) ? parts('phone.refused.body', { screen: screenName(this.#said) }) : say('phone.refused.body_unknown'),
      notMe: () => this.#send('not_me'),
      app: this.#app,
    });
  }

  #done() {
    const said = this.#said;
    const registered = isRegistered(said);
    const enrolled = isOwn(said);
    const back = said.purpose === 'recover';
    const tally = new Tally(24);
    tally.set(1);
    const left = el('p', {}, el('strong', {}, say('done.left', { span: span(said.rights.session_s) })), ' ', el('span.quiet', {}, say('done.until', { time: timeOfDay(Date.now() + said.rights.session_s * 1000) })));
    const head = enrolled ? say(back ? 'done.recover' : 'done.device') : registered ? parts('done.headline', { plate: plate(said.terminal.name) }) : say('done.headline_unknown');
    screen({
      name: 'done',
      sign: 'check',
      tone: 'good',
      head,
      body: say(back ? 'done.recover_body' : enrolled ? 'done.device_body' : 'done.body'),
      content: [!enrolled && said.rights.session_s > 0 && el('div.card.until', {}, tally.node, left, el('p.small.quiet', {}, el('bdi', {}, said.client.name)))],
      dock: [enrolled ? wide(say('phone.see_open'), this.#app.overview) : wide(say('done.end'), () => this.#end(), { sign: 'lock' })],
    });
    announce(say('done.aloud'));
    this.#follow();
  }

  /** The screen has half a minute to take the result. If it did not, say so instead of "open". */
  async #follow() {
    for (let tries = 0; tries < 25 && document.body.dataset.screen === 'done'; tries += 1) {
      await pause(LOOK_MS);
      const view = await this.#look().catch(() => null);
      if (document.body.dataset.screen !== 'done' || view?.state === 'redeemed') return;
      if (view && ENDED.includes(view.state)) {
        refusedAs(view.state, this.#app);
        return;
      }
    }
  }

  async #end() {
    try {
      await this.#send('refuse');
    } catch (fault) {
      if (!(fault instanceof Refusal && fault.code === 'gone')) {
        failed(fault, this.#app);
        return;
      }
    }
    screen({
      name: 'ended',
      sign: 'lock',
      tone: 'good',
      head: say('ended.headline'),
      body: parts(isRegistered(this.#said) ? 'ended.body' : 'ended.body_unknown', { screen: screenName(this.#said), client: el('bdi', {}, this.#said.client.name) }),
      dock: [wide(say('phone.see_open'), this.#app.overview)],
    });
    announce(say('ended.headline'));
  }
}
