// The service file that `deploy/` ships, as systemd reads it; and the settings it points to, as the program reads them.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { program } from '../stage/server.js';

/** Of 100, where 0 shows nothing to an attacker: docs/operate.md says what one version of systemd found, others count otherwise */
const EXPOSURE = 20;

const shipped = readFileSync(fileURLToPath(new URL('../../../deploy/countersign.service', import.meta.url)), 'utf8');
const directory = mkdtempSync(join(tmpdir(), 'countersign-unit-'));
const unit = join(directory, 'countersign.service');
after(() => rmSync(directory, { recursive: true, force: true }));

// systemd wants to see the program where the unit says it is.
writeFileSync(unit, shipped.replaceAll('/usr/local/bin/countersign', program('countersign')));

test('systemd finds nothing wrong with the unit', () => {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', unit], { encoding: 'utf8' });
  assert.equal(stdout + stderr, '');
  assert.equal(status, 0);
});

test('systemd finds it little exposed', () => {
  const { status, stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE}`, unit], { encoding: 'utf8' });
  assert.match(stdout, /Overall exposure level for countersign\.service: \d\.\d/);
  assert.equal(status, 0, stdout.split('\n').slice(-2).join(' '));
});

test('the settings that the program prints are taken by the check that the unit runs first, with every line in use', () => {
  const template = execFileSync(program('countersign'), ['config', 'template'], { encoding: 'utf8' });
  const file = join(directory, 'countersign.toml');
  const rules = fileURLToPath(new URL('../../../policies/ceremony.cedar', import.meta.url));
  const [, command] = /^ExecStartPre=\S+ (.*)$/m.exec(shipped);
  const used = template.replace(/^# (?=\w+ = |\[)/gm, '').replace(/^policies = .*$/m, `policies = "${rules}"`);
  assert.match(used, /^tls = /m);
  for (const text of [template, used]) {
    writeFileSync(file, text);
    const { status, stderr } = spawnSync(program('countersign'), command.replace('/etc/countersign/countersign.toml', file).split(' '), { cwd: directory, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }
});
