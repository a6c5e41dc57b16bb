// How long `nsresourcectl run` takes until its command begins, against unshare(1) with subordinate ids, and Node itself.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { Folder } from '../support/folder.js';
import { run } from '../support/run.js';
import { environment, ours, Service } from '../support/service.js';
import { median, range } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

const RUNS = 30;

/** How many before, by when the daemon's workers have compiled what they run. */
const WARM_UP = 50;

/** How many times as long as unshare(1). */
const AIM = 3;

/** A user without privileges that every Debian has, and ids that it is given for this alone. */
const USER = { name: 'daemon', uid: 1, ids: 'daemon:100000:65536\n' };

const Report = t.type({ results: t.array(t.type({ times: t.array(t.number) })) });

process.env.PATH = environment.PATH;
printMachine();
using folder = new Folder();
chmodSync(folder.path, 0o755);
await using service = await Service.start(ours(folder));
const nsresourcectl = fileURLToPath(new URL('../../../packages/daemon/bin/nsresourcectl', import.meta.url));

const subjects = [
  { name: 'unshare --map-auto', command: 'unshare --map-auto --map-root-user true' },
  { name: 'node -e 0', command: 'node -e 0' },
  {
    name: 'nsresourcectl run',
    command: `${nsresourcectl} --runtime-directory=${service.program.runtimeDirectory} run -- true`,
  },
  {
    name: 'the same, by Node',
    command: `${nsresourcectl} --runtime-directory=${service.program.runtimeDirectory} run --map=0 -- true`,
  },
];

const ids = folder.join('ids');
const report = folder.join('hyperfine.json');
writeFileSync(ids, USER.ids);
writeFileSync(report, '');
chmodSync(report, 0o666);
const mounts = `mount --bind ${ids} /etc/subuid && mount --bind ${ids} /etc/subgid && cd / && exec "$@"`;
const user = ['setpriv', `--reuid=${USER.uid}`, `--regid=${USER.uid}`, '--clear-groups', 'env', `HOME=${folder.path}`];
const numbers = ['--warmup', String(WARM_UP), '--runs', String(RUNS), '--export-json', report];
await run([
  ...['unshare', '--mount', 'sh', '-c', mounts, 'sh', ...user],
  ...['hyperfine', '-N', '--style', 'none', ...numbers, ...subjects.map(({ command }) => command)],
]);

const decoded = Report.decode(JSON.parse(readFileSync(report, 'utf8')));
if (isLeft(decoded)) throw new Error('hyperfine reports in another form than it used to');
const measured = decoded.right.results.map(({ times: seconds }) => seconds.map((value) => value * 1000));
const milliseconds = (value: number) => value.toFixed(1);
const base = median(measured[0] ?? []);
const rows = subjects.map(({ name }, index) => {
  const values = measured[index] ?? [];
  const time = median(values);
  const aim = name === 'nsresourcectl run' ? `≤ ${AIM} ×, ${time <= AIM * base ? 'met' : 'MISSED'}` : '';
  return [name, milliseconds(time), range(values, milliseconds), times(time, base), aim];
});
printTable([['', 'median ms', 'range', 'to unshare', 'aim'], ...rows]);
console.log(`Medians of ${RUNS} runs by hyperfine, as a user without privileges, of a command that ends at once.
An option has Node ask the daemon, in place of perl.`);
