// The code that people type instead of scanning: eight consonants, with whatever they put between them.

const CODE = /^[BCDFGHJKLMNPQRSTVWXZ]{8}$/;

/** What was meant, as eight letters; null where it is no code */
export function parseUserCode(typed) {
  const code = typed.toUpperCase().replace(/[\s\u2010-\u2015-]/g, '');
  return CODE.test(code) ? code : null;
}

/** The first half of a code that an address brought: the person types the other, so that no address completes anything */
export const halfOf = (fragment) => parseUserCode(fragment)?.slice(0, 4) ?? null;

/** As screens show it */
export const hyphenated = (code) => `${code.slice(0, 4)}-${code.slice(4)}`;
