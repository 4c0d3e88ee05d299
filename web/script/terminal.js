// The waiting screen: opens a ceremony, shows its frames, follows its states, takes the result. What comes then, its user tells.
import { Refusal, Unreachable } from './call.js';
import { Ceremony } from './ceremony.js';
import { CodeTile } from './code-card.js';
import { Countdown } from './countdown.js';
import { announce, el, show } from './dom.js';
import { FRAME_MS, FRAMES } from './frame.js';
import { pause } from './pause.js';
import { say } from './say.js';
import * as views from './terminal-views.js';

const UNATTENDED_MS = 600_000;
const RETRY_MS = [8_000, 8_000, 15_000, 30_000];
const BLANK_MS = 10_000;
/** How something can end */
const { REFUSED } = views;
const ENDS = ['refused', 'expired', 'closed', 'not_me', 'badge_over', 'replayed', 'bad_start', 'too_many', 'broken'];
/** How long a screen that nobody touches tells how something ended */
const TOLD_MS = 8_000;
/** What the card shows while nobody has met the code */
const WAITING = ['waiting', 'typed', 'ask', 'offered', 'badge'];

export class Terminal {
  #card;
  #set;
  #tile = new CodeTile();
  #ceremony = null;
  #touched = performance.now();
  #shown = '';
  #lost_at = 0;
  #retries = 0;
  #retry = 0;
  #timer = 0;
  #ticking = 0;
  #countdown = null;
  /** What the card is to show while nobody has met the code: `waiting` (to scan), `typed`, or `ask` (for a login name) */
  #wanted = 'waiting';
  /** The login name whose phone is asked; empty for a code */
  #offer = '';
  /** Frames of a badge that this screen read; with them what opens is that phone's */
  #badge;
  #confirmedHere = false;
  #armed = true;
  #turn = 0;

  /**
   * `settings`: `body()` what to open with; `client`, `organisation`, `host`; `passkey` (press it, or undefined);
   * `redeemed(result, ceremony)` what to do with the result; `key()` the key to open with, or undefined for a fresh one;
   * `restless`: nobody needs to touch it for the code to go on.
   */
  constructor(card, settings) {
    this.#card = card;
    this.#set = settings;
    const attend = () => {
      this.#touched = performance.now();
    };
    for (const sign of ['pointerdown', 'pointermove', 'keydown', 'touchstart']) addEventListener(sign, attend, { passive: true });
    addEventListener('keydown', () => this.#shown === 'resting' && this.restart());
    addEventListener('pagehide', () => this.#armed && this.#ceremony?.abandon());
    addEventListener('pageshow', (event) => event.persisted && location.reload());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.#awake());
    addEventListener('online', () => this.#shown === 'offline' && this.tryNow());
    this.#ticking = setInterval(() => this.#tick(), 250);
  }

  #on = {
    restart: () => this.restart(),
    showCode: () => this.showCode(),
    digits: (digits) => this.#confirm(digits),
    offer: (login) => this.#ask(login),
    tryNow: () => this.tryNow(),
    notMe: () => this.#notMe(),
    continue: () => this.#continue(),
    passkey: () => this.#set.passkey?.(),
  };

  /** Opens the first ceremony, or the next. The new one is ready before the old one goes. */
  async begin({ announceIt = false } = {}) {
    const turn = (this.#turn += 1);
    clearTimeout(this.#retry);
    const old = this.#ceremony;
    try {
      const body = { ...(await this.#set.body()), ...(this.#offer && { offer: this.#offer }), ...(this.#badge && { badge: this.#badge }), ...(old && { prev: old.cid }) };
      const next = await Ceremony.open(body, await this.#set.key?.());
      if (turn !== this.#turn) {
        next.abandon();
        return;
      }
      old?.leave();
      this.#ceremony = next;
      this.#retries = 0;
      this.#ended = 0;
      this.#lost_at = 0;
      this.#confirmedHere = false;
      this.#tile.renew();
      await this.#frames(next);
      this.#opened();
      if (announceIt) announce(say('sign_in.renewed'));
      next.watch({
        onState: (state) => next === this.#ceremony && this.#follow(state),
        onLink: (up) => next === this.#ceremony && this.#link(up),
        onGone: () => next === this.#ceremony && this.#gone(),
      });
    } catch (fault) {
      if (turn !== this.#turn) return;
      old?.leave();
      this.#ceremony = null;
      this.failed(fault);
      this.#forget();
    }
  }

  /** Opens for whoever showed this badge. */
  read(frames) {
    this.#badge = frames;
    return this.begin();
  }

  /** Nobody is asked any more. */
  #forget() {
    this.#offer = '';
    this.#badge = undefined;
  }

  /** Whether a phone was asked, and no code is to be scanned */
  get #asks() {
    return Boolean(this.#offer || this.#badge);
  }

  /** Ends what is open and begins anew. */
  async restart() {
    const old = this.#ceremony;
    this.#ceremony = null;
    this.#wanted = 'waiting';
    this.#forget();
    await old?.abandon();
    await this.begin({ announceIt: this.#shown === 'resting' });
  }

  /** Gives the screen to something else: nothing is watched, nothing renewed. */
  async stop() {
    this.#turn += 1;
    clearTimeout(this.#retry);
    clearInterval(this.#ticking);
    const old = this.#ceremony;
    this.#ceremony = null;
    await old?.abandon();
  }

  /** Nobody's phone is asked again by itself. */
  tryNow() {
    this.#forget();
    return this.begin();
  }

  showCode() {
    if (this.#asks) return this.restart();
    this.#wanted = 'waiting';
    this.#opened();
  }

  /** Shows the code that can be typed. What was pressed for it goes, so the focus comes along. */
  showTyped() {
    this.#wanted = 'typed';
    this.#opened();
    this.#card.querySelector('h2')?.focus();
  }

  /** Asks for the login name of whom to ask. */
  showAsk() {
    this.#wanted = 'ask';
    this.#opened();
    this.#card.querySelector('input')?.focus();
  }

  /** Offers the request to the phone of a login name, instead of a code. Whether the name is known is nowhere told. */
  #ask(login) {
    this.#offer = login;
    return this.begin();
  }

  /** Puts a view into the card and says it aloud. */
  #show(kind, node, { aloud, urgent = false } = {}) {
    this.#shown = kind;
    this.#card.dataset.state = kind;
    show(this.#card, node);
    if (aloud) announce(aloud, urgent);
    this.#set.changed?.(kind);
    if (!this.#set.restless || !ENDS.includes(kind)) return;
    // Nobody need be here to press anything. Where it is refused again and again, it is asked more seldom.
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.restart(), TOLD_MS * 2 ** Math.min(this.#ended, 3));
    this.#ended += 1;
  }

  #ended = 0;

  #count() {
    const ceremony = this.#ceremony;
    this.#countdown = new Countdown(ceremony.deadline, Math.max(ceremony.deadline.left_ms, ceremony.state === 'opened' ? ceremony.whole_ms : 120_000));
    return this.#countdown;
  }

  #opened() {
    const ceremony = this.#ceremony;
    if (!ceremony || ceremony.state !== 'opened') return;
    if (this.#badge) {
      if (this.#shown !== 'badge') this.#show('badge', views.badge({ countdown: this.#count(), on: this.#on }), { aloud: say('badge.read.headline') });
      return;
    }
    if (this.#offer) {
      if (this.#shown !== 'offered') this.#show('offered', views.offered({ host: this.#set.host, countdown: this.#count(), on: this.#on }), { aloud: say('sign_in.offered.headline') });
      return;
    }
    if (this.#wanted === 'ask') {
      if (this.#shown !== 'ask') this.#show('ask', views.ask({ on: this.#on }));
      return;
    }
    if (this.#wanted === 'typed' && ceremony.userCode) {
      this.#show('typed', views.typedCode({ host: this.#set.host, code: ceremony.userCode, countdown: this.#count(), on: this.#on }));
      return;
    }
    this.#countdown = null;
    this.#tile.link(true);
    if (this.#shown !== 'waiting') this.#show('waiting', this.#tile.node);
    this.#tick();
  }

  /** Draws frame after frame for as long as this ceremony can be scanned. The next is computed before its time has come. */
  async #frames(ceremony) {
    clearTimeout(this.#timer);
    const ready = async (index) => ({ index, picture: this.#tile.prepare(await ceremony.frame(index)) });
    let next = await ready(ceremony.clock.index);
    const step = async () => {
      if (ceremony !== this.#ceremony || ceremony.state !== 'opened') return;
      const index = ceremony.clock.index;
      if (next.index !== index) next = await ready(index);
      if (this.#lost_at === 0 || performance.now() - this.#lost_at < BLANK_MS) this.#tile.draw(next.picture);
      next = await ready(index + 1);
      this.#timer = setTimeout(step, Math.min(FRAME_MS, ceremony.clock.next_ms + 5));
    };
    await step();
  }

  #tick() {
    const ceremony = this.#ceremony;
    this.#countdown?.tick();
    if (!ceremony) return;
    if (ceremony.state === 'opened') {
      this.#tile.time(ceremony.scan_left_ms / (FRAMES * FRAME_MS));
      if (this.#isOver(ceremony)) this.#renew();
    }
    if (this.#lost_at && performance.now() - this.#lost_at > BLANK_MS && this.#shown !== 'offline') {
      this.#tile.blank();
      this.#offline();
    }
  }

  /** After two minutes: a new code while somebody may be here, rest when nobody was for ten. */
  #renew() {
    if (this.#asks) {
      this.#end(() => this.#show('expired', views.expired({ on: this.#on }), { aloud: say('sign_in.expired.headline'), urgent: true }));
      return;
    }
    if (document.visibilityState !== 'visible' || this.#lost_at) {
      this.#tile.blank();
      return;
    }
    if (!this.#set.restless && performance.now() - this.#touched > UNATTENDED_MS) {
      this.#ceremony?.leave();
      this.#ceremony = null;
      this.#show('resting', views.resting({ on: this.#on }), { aloud: say('sign_in.resting.headline') });
      return;
    }
    if (this.#renewing) return;
    this.#renewing = true;
    this.begin().finally(() => (this.#renewing = false));
  }

  #renewing = false;

  #awake() {
    if (WAITING.includes(this.#shown) && this.#ceremony && this.#isOver(this.#ceremony)) this.#renew();
  }

  /** Nothing can begin it any more: a typed code lives longer than the code to scan. */
  #isOver(ceremony) {
    const left_ms = this.#shown === 'typed' || this.#asks ? ceremony.deadline.left_ms : ceremony.scan_left_ms;
    return left_ms === 0 || ceremony.state !== 'opened';
  }

  #follow(state) {
    switch (state.state) {
      case 'opened':
        this.#opened();
        break;
      case 'scanned':
      case 'confirmed':
        this.#scanned(state);
        break;
      case 'approved':
        this.#approved();
        break;
      case 'refused':
        this.#end(() => this.#show('refused', views.refused({ on: this.#on }), { aloud: say('sign_in.refused.headline'), urgent: true }));
        break;
      case 'expired':
        if (WAITING.includes(this.#shown)) this.#renew();
        else this.#end(() => this.#show('expired', views.expired({ on: this.#on }), { aloud: say('sign_in.expired.headline'), urgent: true }));
        break;
      case 'redeemed':
        break;
      default:
        if (this.#armed) this.#gone();
    }
  }

  #scanned(state) {
    const both = state.ask === 'both' || (this.#confirmedHere && state.ask === 'type_there');
    const n = state.n ?? state.digits?.length ?? 4;
    if (state.ask === 'type_here' || (state.ask === 'both' && !this.#confirmedHere)) {
      if (this.#shown !== 'type_here') this.#typeHere({ n, which: both && { n: 1, of: 2 } });
    } else if (state.digits && (state.ask === 'type_there' || both)) {
      const view = views.typeThere({ digits: state.digits, countdown: this.#count(), which: both && { n: 2, of: 2 }, on: this.#on });
      if (this.#shown !== 'type_there') this.#show('type_there', view, { aloud: say('sign_in.type_there.headline') });
    } else if (this.#shown !== 'scanned') {
      this.#show('scanned', views.scanned({ countdown: this.#count(), on: this.#on }), { aloud: say('sign_in.scanned.headline') });
    }
  }

  #asked = {};

  #typeHere({ n, which, left }) {
    this.#asked = { n, which };
    const { node, field } = views.typeHere({ n, which, left, countdown: this.#count(), on: this.#on });
    const head = left === undefined ? say('sign_in.type_here.headline', { n }) : say('sign_in.wrong.headline');
    this.#show('type_here', node, { aloud: head, urgent: left !== undefined });
    field.input.focus();
  }

  async #confirm(digits) {
    const ceremony = this.#ceremony;
    try {
      const reply = await ceremony.confirm(digits);
      if (ceremony !== this.#ceremony) return;
      this.#confirmedHere = true;
      this.#shown = '';
      this.#follow({ state: ceremony.state === 'scanned' ? 'confirmed' : ceremony.state, ...reply });
    } catch (fault) {
      if (ceremony !== this.#ceremony) return;
      if (fault instanceof Refusal && fault.code === 'wrong_code' && fault.left > 0) {
        this.#shown = '';
        this.#typeHere({ ...this.#asked, left: fault.left });
      } else if (fault instanceof Unreachable) {
        this.#typeHere(this.#asked);
        announce(say('sign_in.offline.headline'), true);
      } else this.failed(fault);
    }
  }

  async #approved() {
    const ceremony = this.#ceremony;
    if (this.#shown === 'approved') return;
    this.#show('approved', views.approved({ client: this.#set.client }), { aloud: say('sign_in.approved.headline') });
    for (let tries = 0; ; tries += 1) {
      try {
        const result = await ceremony.redeem();
        this.#armed = false;
        ceremony.leave();
        await this.#set.redeemed(result, ceremony, this);
        return;
      } catch (fault) {
        if (ceremony !== this.#ceremony) return;
        if (fault instanceof Refusal && ['pending', 'use_dpop_nonce'].includes(fault.code) && tries < 10) {
          await pause(400);
          continue;
        }
        // The answer may be lost, and with it what it gave: end that, and begin anew.
        if (fault instanceof Unreachable) ceremony.abandon();
        this.#end(() => this.failed(fault));
        return;
      }
    }
  }

  /** Asks whose name that is, where nobody typed a code here. */
  greet(result, ceremony, next) {
    this.#ceremony = ceremony;
    this.#next = next;
    this.#show('greeting', views.greeting({ person: result.name, on: this.#on }), { aloud: say('sign_in.greeting.headline', { name: result.name }) });
  }

  #next = () => {};

  async #continue() {
    try {
      await this.#next(await this.#ceremony.continue());
    } catch (fault) {
      this.#end(() => this.failed(fault));
    }
  }

  async #notMe() {
    let failure;
    await this.#ceremony.disown().catch((fault) => (failure = fault));
    // Whatever the server heard: without its key nothing can go on here, and within a minute it ends by itself.
    await this.#set.disowned?.();
    this.#end(() => {
      if (failure) this.failed(failure);
      else this.#show('not_me', views.notMe({ on: this.#on }), { aloud: say('sign_in.not_me.headline'), urgent: true });
    });
  }

  #gone() {
    if (this.#shown === 'waiting' && this.#ceremony && this.#isOver(this.#ceremony)) this.#renew();
    else this.#end(() => this.#show('closed', views.closed({ on: this.#on }), { aloud: say('sign_in.closed.headline'), urgent: true }));
  }

  #end(then) {
    this.#ceremony?.leave();
    this.#ceremony = null;
    this.#armed = true;
    this.#countdown = null;
    then();
  }

  #link(up) {
    this.#tile.link(up);
    if (up) {
      this.#lost_at = 0;
      if (this.#shown === 'offline') this.#opened();
    } else this.#lost_at ||= performance.now();
  }

  #offline() {
    const after_ms = RETRY_MS[Math.min(this.#retries, RETRY_MS.length - 1)];
    this.#retries += 1;
    const view = views.offline({ organisation: this.#set.organisation, wait: this.#again(after_ms), on: this.#on });
    this.#show('offline', view, this.#retries === 1 ? { aloud: say('sign_in.offline.headline'), urgent: true } : {});
  }

  /** Counts down to the next try, and tries. */
  #again(after_ms) {
    const words = el('p.small.quiet');
    const at = performance.now() + after_ms;
    const count = () => {
      words.textContent = say('sign_in.offline.next_try', { n: Math.max(0, Math.ceil((at - performance.now()) / 1000)) });
    };
    count();
    const timer = setInterval(() => (words.isConnected ? count() : clearInterval(timer)), 250);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.tryNow(), after_ms);
    return words;
  }

  /** A refusal or a fault, as the card says it */
  failed(fault) {
    this.#countdown = null;
    const ref = fault instanceof Refusal ? fault.ref : '';
    const on = this.#on;
    const urgent = (key) => ({ aloud: say(key), urgent: true });
    if (fault instanceof Unreachable) return this.#offline();
    if (fault instanceof Refusal) {
      if (fault.status === 429) {
        const minutes = Math.max(1, Math.ceil((fault.retry_after_s ?? 60) / 60));
        return this.#show('too_many', views.tooMany({ minutes, ref, on, passkey: !!this.#set.passkey, asked: !!this.#offer }), urgent('too_many.headline'));
      }
      const words = REFUSED[fault.code];
      if (words) return this.#show('refused', views.refused({ ref, on, words }), urgent(words[0]));
      switch (fault.code) {
        case 'no_such_flow':
          return this.#show('bad_start', views.badStart({ ref }), urgent('sign_in.bad_start.headline'));
        case 'already_redeemed':
          return this.#show('replayed', views.replayed({ ref, on }), urgent('sign_in.replayed.headline'));
        case 'code_not_live':
          return this.#show('badge_over', views.badgeOver({ ref, on }), urgent('badge.over.headline'));
        case 'expired':
          return this.#show('expired', views.expired({ on }), urgent('sign_in.expired.headline'));
        case 'no_such_ceremony':
        case 'gone':
        case 'bad_proof':
          return this.#show('closed', views.closed({ ref, on }), urgent('sign_in.closed.headline'));
        case 'clock':
        case 'unavailable':
          return this.#show('paused', views.paused({ ref, wait: this.#again(15_000), on }), urgent('sign_in.paused.headline'));
        default:
      }
    }
    return this.#show('broken', views.broken({ ref, on }), urgent('error.headline'));
  }

  /** The window cannot keep keys. */
  webview() {
    const copy = async () => {
      await navigator.clipboard?.writeText(location.href).catch(() => {});
      document.getElementById('copied').textContent = say('webview.copied');
    };
    this.#show('webview', views.webview({ on: { copy } }), { aloud: say('webview.headline'), urgent: true });
  }
}
