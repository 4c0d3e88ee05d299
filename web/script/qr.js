// Drawing and reading codes. Version and mask are chosen once a ceremony: a frame then changes about a tenth of the modules,
// and the eye, and the camera, see one code that breathes instead of a new one every three seconds.
import { encodeQR } from '../vendor/qr/index.js';

const LEVEL = { ecc: 'medium', encoding: 'byte', border: 1 };

const matrix = (text, extra) => {
  const framed = encodeQR(text, 'raw', { ...LEVEL, ...extra });
  return framed.slice(1, -1).map((row) => row.slice(1, -1));
};

const same = (one, two) => one.every((row, y) => row.every((module, x) => module === two[y][x]));

/** The version and mask that suit this text best; every later frame of the ceremony keeps them. */
export function plan(text) {
  const free = matrix(text);
  const version = (free.length - 17) / 4;
  for (let mask = 0; mask < 8; mask += 1) {
    if (same(free, matrix(text, { version, mask }))) return { version, mask };
  }
  return { version, mask: 0 };
}

/** Modules, dark is true, without a quiet zone */
export const modules = (text, chosen) => matrix(text, chosen);

/** One SVG path, a rectangle for each run of dark modules in a row */
export function path(grid) {
  let d = '';
  grid.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      if (!row[x]) continue;
      const from = x;
      while (row[x + 1]) x += 1;
      d += `M${from} ${y}h${x - from + 1}v1h-${x - from + 1}z`;
    }
  });
  return d;
}

/** The widest module, in whole device pixels, that lets symbol and quiet zone (four modules a side) fit into `width` */
export function moduleWidth(width, count, ratio = 1, widest = 9) {
  const whole = Math.floor((width * ratio) / (count + 8));
  return Math.min(Math.max(1, whole), Math.max(1, Math.floor(widest * ratio))) / ratio;
}

/** Reads the first code in an image `{ width, height, data }`; null when there is none. */
export async function readImage(image) {
  const { decodeQR } = await import('../vendor/qr/decode.js');
  try {
    return decodeQR(image);
  } catch {
    return null;
  }
}
