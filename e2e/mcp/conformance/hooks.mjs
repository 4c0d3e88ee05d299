// Gives the runner its own `fs`; see own-fs.mjs.
import { register } from 'node:module';

const own = new URL('./own-fs.mjs', import.meta.url).href;
const hook = `export const resolve = (specifier, context, next) =>
  specifier === 'fs' && context.parentURL?.includes('/@modelcontextprotocol/conformance/') ? { url: ${JSON.stringify(own)}, shortCircuit: true } : next(specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
