// After a refusal: nothing was opened, and whoever did not start it can say so.
import { announce, el } from './dom.js';
import { screen, wide } from './page.js';
import { failed } from './refusals.js';
import { say } from './say.js';

/** `body` says where nothing was opened; `notMe()` tells the server; `app` leads to other screens. */
export function refused({ body, notMe, app, changed = true }) {
  const tell = async () => {
    try {
      await notMe();
      stopped(app);
    } catch (fault) {
      failed(fault, app);
    }
  };
  screen({
    name: 'refused',
    sign: 'cross',
    head: say('phone.refused.headline'),
    body,
    // On a phone that others use too nobody says it in somebody's name.
    content: [!app.seats && el('section.aside', {}, el('h2', {}, say('phone.refused.someone')), el('p.quiet', {}, say('phone.refused.tell')))],
    dock: [!app.seats && wide(say('phone.refused.not_me'), tell, { tone: 'ink' }), changed ? wide(say('phone.refused.changed'), app.scan) : wide(say('phone.see_open'), app.overview)],
  });
  announce(say('phone.refused.headline'));
}

/** "That was not me": said, and heard. */
export function stopped(app) {
  screen({ name: 'not_me', sign: 'lock', tone: 'good', head: say('phone.not_me.headline'), body: say('phone.not_me.body'), dock: [wide(say('phone.see_open'), app.overview)] });
  announce(say('phone.not_me.headline'));
}
