import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { askOften } from '../../event/aim-at-idle-exits.js';
import type { Life } from '../../event/programs/sleeper.js';
import { programPath } from '../../support/program-path.js';
import { until } from '../../support/until.js';
import { needsVirtualMachine, run } from './machine.js';
import { property } from './service.js';

const UNITS = '/run/systemd/system';
const SERVICE = 'sdrx-sleeper.service';
const SOCKET = 'sdrx-sleeper.socket';
const PATH = '/run/sdrx-sleeper';
const LIVES = '/run/sdrx-sleeper.lives';
const TRIES = 200;

/** How long it waits until it leaves at most, in milliseconds; a client as long until it connects. An emulated machine is slow. */
const LONGEST = 20;

const sleeper = programPath('../../event/programs/sleeper.js', import.meta.url);

function install(): void {
  writeFileSync(`${UNITS}/${SOCKET}`, `[Socket]\nListenStream=${PATH}\nTriggerLimitIntervalSec=0\n`);
  writeFileSync(
    `${UNITS}/${SERVICE}`,
    `[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=${process.execPath} ${sleeper} once ${LONGEST}
StandardOutput=append:${LIVES}
`,
  );
  run('systemctl', 'daemon-reload');
  run('systemctl', 'start', SOCKET);
}

function remove(): void {
  run('systemctl', 'stop', SOCKET, SERVICE);
  for (const unit of [SOCKET, SERVICE]) rmSync(`${UNITS}/${unit}`);
  rmSync(LIVES, { force: true });
  run('systemctl', 'daemon-reload');
}

t.test(
  `each of ${TRIES} who connect when a service leaves is answered, by the one that systemd starts next`,
  needsVirtualMachine,
  async (t) => {
    install();
    t.teardown(remove);
    const { lost } = await askOften(TRIES, { path: PATH }, LONGEST);
    t.strictSame(lost, []);
    await until(() => property('ActiveState', SERVICE) === 'inactive', 50);
    t.equal(property('ActiveState', SOCKET), 'active');
    t.equal(property('Result', SERVICE), 'success');
    const lives = readFileSync(LIVES, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Life);
    t.comment(`${lives.length} lives, ${lives.reduce((sum, { stays }) => sum + stays, 0)} times it stayed`);
    t.ok(lives.length > 1);
  },
);

t.test('who comes and is gone before the service is up harms nobody', needsVirtualMachine, async (t) => {
  install();
  t.teardown(remove);
  const client = connect(PATH, () => client.destroy());
  await until(() => existsSync(LIVES) && readFileSync(LIVES, 'utf8') !== '', 50);
  await until(() => property('ActiveState', SERVICE) === 'inactive', 50);
  t.equal(property('Result', SERVICE), 'success');
  t.strictSame((await askOften(1, { path: PATH }, 0)).lost, []);
});
