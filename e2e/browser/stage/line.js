// A line with two seconds for each round trip that loses one packet in twenty, by the kernel's own TCP (`line.py`).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('line.py', import.meta.url));
const NO_NAMESPACE = 77;

/** This machine gives us no network of our own to be slow in. */
export class NoLine extends Error {}

export class Line {
  /** To `port` of this machine, which hears it from `address` */
  static async lay(port, address) {
    const line = new Line();
    line.running = spawn('python3', [PROGRAM, String(port), '--from', address], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    line.running.stderr.on('data', (bytes) => (said += bytes));
    line.lines = createInterface({ input: line.running.stdout })[Symbol.asyncIterator]();
    const { value } = await line.lines.next();
    if (value) return Object.assign(line, { entry: { host: '127.0.0.1', port: Number(value) } });
    await new Promise((resolve) => line.running.on('close', resolve));
    throw line.running.exitCode === NO_NAMESPACE ? new NoLine(said) : new Error(said);
  }

  /** `{ carried, lost }`, packets in all; the same when it is asked again */
  close() {
    this.closed ??= (async () => {
      this.running.kill('SIGTERM');
      const { value } = await this.lines.next();
      const [carried, lost] = (value ?? '').split(' ').map(Number);
      return { carried, lost };
    })();
    return this.closed;
  }
}
