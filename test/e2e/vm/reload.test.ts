import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { programPath } from '../../support/program-path.js';
import { untilOr } from '../../support/until.js';
import { needsVirtualMachine, run } from './machine.js';
import { property } from './service.js';

const event = programPath('../../../../packages/event/package.json', import.meta.url);
const UNIT = 'sdrx-test-reload.service';
const FOLDER = '/run/sdrx-test-reload';

/** The longest that a start may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

/** Notes what it was passed, has two descriptors kept, and reads its configuration at start and at each reload. */
const program = `
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
const require = createRequire(${JSON.stringify(event)});
const { EventLoop, exitOnSignal, fdStoreLimit, notify, PassedFds, reloading, storeFds } = require('./dist/index.js');
const { merge } = require('rxjs');
process.chdir('${FOLDER}');
const passed = new PassedFds();
writeFileSync('passed', JSON.stringify({ names: passed.all, activated: passed.activated, limit: fdStoreLimit() }));
passed[Symbol.dispose]();
const kept = ['one', 'two'].map((name) => storeFds(name, [openSync('/dev/null')]));
writeFileSync('kept', JSON.stringify(kept));
const read = () => writeFileSync('seen', JSON.parse(readFileSync('configuration', 'utf8')).value);
read();
const loop = new EventLoop();
const finished = loop.run(merge(exitOnSignal(loop), reloading(loop, async () => read())));
notify({ READY: 1, STATUS: 'serving' });
process.exitCode = await finished;
`;

const unit = `
[Service]
Type=notify-reload
ExecStart=${process.execPath} ${FOLDER}/program.mjs
FileDescriptorStoreMax=2
TimeoutStartSec=100
`;

const stateOf = (name: string) => property(name, UNIT);
const noted = (name: string) => readFileSync(`${FOLDER}/${name}`, 'utf8');
const configure = (value: string) => writeFileSync(`${FOLDER}/configuration`, JSON.stringify({ value }));

t.test('systemd reloads a service and keeps its descriptors', needsVirtualMachine, async (t) => {
  mkdirSync(FOLDER);
  writeFileSync(`${FOLDER}/program.mjs`, program);
  writeFileSync(`/run/systemd/system/${UNIT}`, unit);
  run('systemctl', 'daemon-reload');
  configure('at start');
  run('systemctl', 'start', UNIT);
  t.teardown(() => run('systemctl', 'stop', UNIT));
  const pid = stateOf('MainPID');

  await t.test('systemctl reload returns when the configuration was read', (t) => {
    for (let count = 0; count < 5; count++) {
      configure(`reload ${count}`);
      run('systemctl', 'reload', UNIT);
      t.equal(noted('seen'), `reload ${count}`);
      t.strictSame([stateOf('SubState'), stateOf('MainPID')], ['running', pid]);
    }
    t.equal(stateOf('StatusText'), 'serving');
    t.end();
  });

  await t.test('a reload that fails is told by the status, and the service goes on', (t) => {
    writeFileSync(`${FOLDER}/configuration`, 'half a {');
    run('systemctl', 'reload', UNIT);
    t.match(stateOf('StatusText'), /^reload failed: Unexpected token/);
    t.strictSame([stateOf('SubState'), stateOf('MainPID')], ['running', pid]);
    configure('mended');
    run('systemctl', 'reload', UNIT);
    t.strictSame([stateOf('StatusText'), noted('seen')], ['reloaded', 'mended']);
    t.end();
  });

  await t.test('a signal that systemd knows nothing of is a reload, too', async () => {
    configure('by hand');
    run('kill', '-HUP', pid);
    const seen = () => noted('seen') === 'by hand' && stateOf('SubState') === 'running';
    await untilOr(LIMIT, seen, () => `${noted('seen')}, ${stateOf('SubState')}`, 100);
  });

  await t.test('what it stored comes back at the next start, the newest first', (t) => {
    t.strictSame(JSON.parse(noted('passed')), { names: [], activated: false, limit: 2 });
    t.strictSame(JSON.parse(noted('kept')), [true, true]);
    t.equal(stateOf('NFileDescriptorStore'), '2');
    run('systemctl', 'restart', UNIT);
    t.strictSame(JSON.parse(noted('passed')), { names: ['two', 'one'], activated: true, limit: 2 });
    t.end();
  });
});
