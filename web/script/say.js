// Everything a page says comes from the catalogue. Sentences stay whole; `{name}` is filled in; plurals follow the language.

let texts = {};
let rules = new Intl.PluralRules('en');
let language = 'en';

/** Fills the catalogue from an object. */
export function learn(catalogue, lang = 'en') {
  texts = catalogue;
  language = lang;
  rules = new Intl.PluralRules(lang);
}

/** Fetches the catalogue that the page names. */
export async function listen(document) {
  const link = document.querySelector('link[data-catalogue]');
  const answer = await fetch(link.href, { credentials: 'same-origin' });
  learn(await answer.json(), document.documentElement.lang || 'en');
}

function sentence(key, fill) {
  const entry = texts[key];
  if (entry === undefined) return key;
  return typeof entry === 'string' ? entry : (entry[rules.select(Number(fill.n))] ?? entry.other);
}

/** The text of `key`, with `{…}` filled in. Fills are plain text. */
export const say = (key, fill = {}) => sentence(key, fill).replace(/\{(\w+)\}/g, (whole, name) => String(fill[name] ?? whole));

/** The text of `key` as a list of strings and of the nodes given for its fills, in order. */
export function parts(key, fill = {}) {
  return sentence(key, fill)
    .split(/(\{\w+\})/)
    .filter((part) => part !== '')
    .map((part) => {
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      return name === undefined ? part : (fill[name] ?? part);
    });
}

/** The reader's own region where it speaks the page's language; else the language alone, with 24 hours */
function clock(options) {
  const region = (globalThis.navigator?.languages ?? []).find((one) => one.startsWith(`${language}-`));
  return new Intl.DateTimeFormat(region ?? language, region ? options : { ...options, hourCycle: 'h23' });
}

/** 14:35 */
export const timeOfDay = (ms) => clock({ hour: '2-digit', minute: '2-digit' }).format(new Date(ms));

/** 3 March */
export const dayOf = (ms) => clock({ day: 'numeric', month: 'long' }).format(new Date(ms));

/** About 2 minutes left; from 30 seconds on, in seconds */
export function timeLeft(left_ms) {
  const seconds = Math.ceil(left_ms / 1000);
  if (seconds <= 30) return say('time.seconds_left', { n: seconds });
  return say('time.about_minutes_left', { n: Math.max(1, Math.round(seconds / 60)) });
}

/** 30 minutes; 12 hours; 1 day */
export function span(seconds) {
  if (seconds < 60) return say('time.seconds', { n: seconds });
  if (seconds < 7_200) return say('time.minutes', { n: Math.round(seconds / 60) });
  if (seconds < 172_800) return say('time.hours', { n: Math.round(seconds / 3_600) });
  return say('time.days', { n: Math.round(seconds / 86_400) });
}
