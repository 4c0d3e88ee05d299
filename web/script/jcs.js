// RFC 8785 over the narrow JSON of statements: strings, booleans, whole numbers, arrays, objects. Pages never encode for
// others; they encode again to see that the bytes received are the only bytes this content can have.

const SAFE = Number.MAX_SAFE_INTEGER;
// Control characters, and those that change the direction of writing: what is shown must be what is meant.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/;

const text = (value) => {
  if (HIDDEN.test(value) || (value.isWellFormed && !value.isWellFormed())) throw new TypeError('characters that cannot be shown');
  return JSON.stringify(value);
};

/** The canonical text of `value`; throws when it leaves the narrow JSON. */
export function canonical(value, depth = 8) {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= SAFE) return String(value);
  if (typeof value !== 'object' || value === null || depth === 0) throw new TypeError('not a statement');
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth - 1)).join(',')}]`;
  const members = Object.keys(value).sort().map((name) => `${text(name)}:${canonical(value[name], depth - 1)}`);
  return `{${members.join(',')}}`;
}

/** Parses bytes that must be canonical already. */
export function parse(bytes) {
  const source = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const value = JSON.parse(source);
  if (canonical(value) !== source) throw new TypeError('not canonical');
  return value;
}
