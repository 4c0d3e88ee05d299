// Signed out: the key of the session goes, and then the person, to where the application asked.
import { go } from './go.js';
import * as shelf from './shelf.js';

const { next } = document.body.dataset;

shelf
  .dropTerminal()
  .catch(() => {})
  .then(() => next && go(next));
