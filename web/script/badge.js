// The phone's live badge: a registered terminal reads it, and then this phone reads what that terminal asks. Nothing is approved by
// showing it.
import { Approval } from './approve.js';
import { Refusal } from './call.js';
import { decode, macKey } from './bytes.js';
import { CodeTile } from './code-card.js';
import { ask } from './device.js';
import { el } from './dom.js';
import { BADGE, Clock, Deadline, FRAME_MS, FRAMES, fragment, payload } from './frame.js';
import { screen, wide } from './page.js';
import { pause } from './pause.js';
import { failed } from './refusals.js';
import { say } from './say.js';

const LOOK_MS = 1_000;

const visible = () => document.visibilityState === 'visible';

/** Draws frame after frame until the badge is over, its page is covered, or `stop` says so. */
async function draw(made, tile, stop) {
  const [key, handle] = [await macKey(decode(made.ck)), decode(made.handle)];
  const clock = new Clock();
  clock.hear(made.t_ms);
  const deadline = new Deadline(made.left_ms);
  tile.renew();
  while (deadline.left_ms > 0 && visible() && !stop()) {
    tile.draw(tile.prepare(payload(location.origin, await fragment(key, handle, clock.index), BADGE)));
    tile.time(deadline.left_ms / (FRAMES * FRAME_MS));
    await pause(Math.min(clock.next_ms + 5, 500));
  }
  tile.blank();
}

/** Asks until a terminal has read it; what that opened, or nothing when the badge is over. */
async function read(device, tile, stop) {
  while (!stop()) {
    await pause(LOOK_MS);
    if (!visible()) continue;
    try {
      const { pending } = await ask(device, 'GET', '/device/pending');
      const found = pending.find(({ badge }) => badge);
      tile.link(true);
      if (found) return found.cid;
    } catch (fault) {
      // A lost line is no answer.
      if (fault instanceof Refusal && fault.status < 500 && fault.status !== 429) throw fault;
      tile.link(false);
    }
  }
  return undefined;
}

export async function start(device, app) {
  const tile = new CodeTile();
  let over = false;
  const leave = (then) => () => {
    over = true;
    then();
  };
  screen({
    name: 'badge',
    head: say('badge.headline'),
    body: say('badge.body'),
    content: [el('section.card.code-card', { id: 'badge', 'aria-label': say('badge.label') }, tile.node)],
    dock: [wide(say('badge.scan'), leave(app.scan), { sign: 'camera' }), wide(say('phone.see_open'), leave(app.overview))],
  });
  try {
    const found = read(device, tile, () => over).finally(() => (over = true));
    found.catch(() => {});
    while (!over) {
      if (visible()) await draw(await ask(device, 'POST', '/device/badges', {}), tile, () => over);
      else await pause(LOOK_MS);
    }
    const cid = await found;
    if (!cid) return;
    const view = await ask(device, 'POST', `/device/ceremonies/${encodeURIComponent(cid)}/take`, {});
    await new Approval(device, { ...view, cid }, app).run();
  } catch (fault) {
    over = true;
    failed(fault, app);
  }
}
