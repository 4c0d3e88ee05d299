// A device that a recovery let in.
import { announce } from './dom.js';
import { screen, wide } from './page.js';
import { say } from './say.js';

export function recovered(app) {
  screen({ name: 'recovered', sign: 'clock', tone: 'warn', head: say('recovered.headline'), body: say('recovered.body'), dock: [wide(say('phone.see_open'), app.overview, { tone: 'act' })] });
  announce(say('recovered.headline'));
}
