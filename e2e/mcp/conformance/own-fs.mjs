// The runner is built for Node 22, and asks `fs` for one function more than Node 20 has, which the modes that are run here never call.
import fs from 'node:fs';

export * from 'node:fs';
export default fs;
export const globSync = fs.globSync;
