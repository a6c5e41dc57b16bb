import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { ask, HttpClients } from '../../support/http-clients.js';
import { programPath } from '../../support/program-path.js';
import { systemdRelease } from '../../support/systemd-release.js';
import { untilOr } from '../../support/until.js';
import { needsVirtualMachine, run } from './machine.js';
import { property } from './service.js';

const UNITS = '/run/systemd/system';
const SERVICE = 'sdrx-kept.service';
const SOCKET = 'sdrx-kept.socket';
const PLACE = { socketPath: '/run/sdrx-kept' };

/** The longest that anything may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

const program = programPath('../../event/programs/kept-service.js', import.meta.url);

/** What the service says of itself. */
interface Kept {
  readonly pid: number;
  readonly before: number | null;
  readonly last: string | null;
  readonly kept: boolean;
  readonly generation: number;
}

const state = (name: string) => property(name, SERVICE);
const told = async (): Promise<Kept> => JSON.parse(await ask(PLACE, '/'));

/** @param settings more of the service's */
function install(settings: string): void {
  mkdirSync(UNITS, { recursive: true });
  writeFileSync(
    `${UNITS}/${SOCKET}`,
    `[Socket]\nListenStream=${PLACE.socketPath}\nFileDescriptorName=web\nTriggerLimitIntervalSec=0\n`,
  );
  writeFileSync(
    `${UNITS}/${SERVICE}`,
    `[Unit]
StartLimitIntervalSec=0
[Service]
Type=notify
ExecStart=${process.execPath} ${program}
ExecReload=kill -HUP $MAINPID
Restart=always
RestartSec=0
FileDescriptorStoreMax=3
${settings}
`,
  );
  run('systemctl', 'daemon-reload');
  run('systemctl', 'start', SOCKET);
}

function remove(): void {
  run('systemctl', 'stop', SOCKET, SERVICE);
  for (const unit of [SOCKET, SERVICE]) rmSync(`${UNITS}/${unit}`);
  run('systemctl', 'daemon-reload');
}

/** Waits until another process than this one serves. */
async function another(former: number): Promise<Kept> {
  let now: Kept | undefined;
  const isThere = async () => {
    now = await told();
    return now.pid !== former;
  };
  const end = performance.now() + LIMIT;
  while (!(await isThere())) {
    if (performance.now() > end) throw new Error(`process ${former} serves still`);
  }
  return now as Kept;
}

t.test('a service that systemd starts again has what it left in the fd store', needsVirtualMachine, async (t) => {
  install('');
  t.teardown(remove);
  const first = await told();
  t.match(first, { before: null, last: null, kept: false, generation: 0 });
  t.equal(first.pid, Number(state('MainPID')));

  await t.test('after a reload, over which no request is lost', async (t) => {
    // Each on a connection of its own: those that are kept end with the process.
    const clients = new HttpClients([PLACE], 50);
    // Not waited for here: clients that stand still would be waited for by the service.
    run('systemctl', '--no-block', 'reload', SERVICE);
    const second = await another(first.pid);
    await clients.stop();
    t.comment(`${clients.answered} requests answered, the longest in ${Math.round(clients.longest)} ms`);
    t.strictSame(clients.failures, []);
    t.match(second, { last: 'the end', kept: true, generation: 1 });
    t.ok(Number(second.before) >= 1);
    t.equal(state('NFileDescriptorStore'), '3');
  });

  await t.test('after systemctl restart', async (t) => {
    const { pid } = await told();
    run('systemctl', 'restart', SERVICE);
    t.match(await another(pid), { last: 'the end', kept: true, generation: 2 });
  });

  await t.test('after a crash, what was left before it', async (t) => {
    const { pid, before } = await told();
    run('kill', '-KILL', String(pid));
    t.match(await another(pid), { before, last: 'the end', kept: true, generation: 2 });
    t.equal(state('NFileDescriptorStore'), '3', 'no more than at first');
  });

  await t.test('not after a stop', async (t) => {
    run('systemctl', 'stop', SERVICE);
    await untilOr(
      LIMIT,
      () => state('NFileDescriptorStore') === '0',
      () => `${state('NFileDescriptorStore')} descriptors are kept`,
      100,
    );
    t.match(await told(), { before: null, kept: false, generation: 0 });
  });
});

const has254 = systemdRelease() >= 254 ? {} : { skip: 'systemd 252 has no FileDescriptorStorePreserve=' };
t.test('and after a stop, if the unit says so', { ...needsVirtualMachine, ...has254 }, async (t) => {
  install('FileDescriptorStorePreserve=yes');
  t.teardown(remove);
  t.match(await told(), { generation: 0 });
  run('systemctl', 'stop', SERVICE);
  t.match(await told(), { last: 'the end', kept: true, generation: 1 });
});
