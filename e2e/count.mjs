// What a walk counts: each check that held or did not.
let passed = 0;
let failed = 0;

export function check(what, good, seen) {
  if (good) {
    passed += 1;
    return;
  }
  failed += 1;
  console.error(`not so: ${what}${seen === undefined ? '' : `; seen: ${JSON.stringify(seen)}`}`);
}

/** Something fell over, which is no check that held; `more` is told beside it. */
export function fell(error, ...more) {
  failed += 1;
  console.error(error, ...more);
}

/** Whether nothing has failed so far */
export const held = () => failed === 0;

/** Says how many checks held, and sets what the program ends with. */
export function count() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = held() ? 0 : 1;
}
