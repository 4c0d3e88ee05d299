// What the phone's camera sees: a Y4M film made of what the other screen showed, for Chromium's fake camera.
import { renameSync, writeFileSync } from 'node:fs';
import { brightness } from './png.js';

const WIDTH = 640;
const HEIGHT = 480;
const PER_S = 10;
const TABLE_GREY = 118;

/** One picture in the middle of a grey table */
function still(png) {
  const shot = brightness(png);
  const y = Buffer.alloc(WIDTH * HEIGHT, TABLE_GREY);
  const left = Math.floor((WIDTH - shot.width) / 2);
  const top = Math.floor((HEIGHT - shot.height) / 2);
  if (left < 0 || top < 0) throw new Error(`a picture of ${shot.width} × ${shot.height} does not fit`);
  for (let row = 0; row < shot.height; row += 1) {
    shot.luma.copy(y, (top + row) * WIDTH + left, row * shot.width, (row + 1) * shot.width);
  }
  // Studio range, 16 to 235: what cameras deliver.
  for (let at = 0; at < y.length; at += 1) y[at] = 16 + Math.round((y[at] * 219) / 255);
  return y;
}

/** Writes a film of `shots` (PNG), each held for a second; Chromium plays it over and over. */
export function shoot(path, shots) {
  const grey = Buffer.alloc((WIDTH * HEIGHT) / 2, 128);
  const parts = [Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${PER_S}:1 Ip A1:1 C420jpeg\n`)];
  for (const shot of shots) {
    const picture = still(shot);
    for (let n = 0; n < PER_S; n += 1) parts.push(Buffer.from('FRAME\n'), picture, grey);
  }
  writeFileSync(`${path}.new`, Buffer.concat(parts));
  renameSync(`${path}.new`, path);
}

/** A film in which nothing is to be seen */
export function dark(path) {
  const frame = Buffer.concat([Buffer.from('FRAME\n'), Buffer.alloc(WIDTH * HEIGHT, 16), Buffer.alloc((WIDTH * HEIGHT) / 2, 128)]);
  writeFileSync(path, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${PER_S}:1 Ip A1:1 C420jpeg\n`), frame, frame]));
}
