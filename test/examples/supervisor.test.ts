import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { untilOr } from '../support/until.js';
import { RunningExample } from './running-example.js';

/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;

function supervisor(t: Tap, options: readonly string[], script: string, environment: NodeJS.ProcessEnv = {}) {
  return new RunningExample(t, 'supervisor', { args: [...options, '--', 'sh', '-c', script], environment });
}

type Tap = ConstructorParameters<typeof RunningExample>[0];

/** How often a worker, or any, was told of in these words. */
function count(example: RunningExample, pattern: RegExp): number {
  return example.lines.filter((line) => pattern.test(line)).length;
}

function isGone(pid: number): boolean {
  return !existsSync(`/proc/${pid}`) || /^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
}

t.test('what crashes at once meets the limit, which is one for all; the exit status is 1', async (t) => {
  const example = supervisor(t, ['--workers=3', '--limit=7/60'], 'exit 3');
  t.equal(await example.ended(), 1);
  t.equal(count(example, /^worker [123] \(\d+\) started, attempt \d$/), 7);
  // One may still run when another gives up: then it was asked to end, too.
  t.equal(count(example, /^worker [123] \(\d+\) (exited with 3|was killed by SIGTERM) after \d+\.\d s/), 7);
  t.ok(count(example, /^worker [123] given up/) >= 1);
  t.equal(count(example, /^worker [123] (given up|stopped)/), 3);
});

t.test('those that run when the limit is met are stopped', async (t) => {
  using folder = new Folder();
  // The first one stays, the other crashes.
  const script = `mkdir ${folder.join('first')} && exec sleep 1000`;
  const example = supervisor(t, ['--workers=2', '--limit=4/60'], script);
  t.equal(await example.ended(), 1);
  t.equal(count(example, /exited with 1/), 3);
  t.equal(count(example, /was killed by SIGTERM after \d+\.\d s, as it was asked to$/), 1);
});

t.test('SIGTERM and SIGINT stop all in order, with status 0; the service manager is told', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const manager = new ServiceManager(t);
    const script = 'trap "printf bye; exit 0" TERM; echo up; while :; do sleep 0.01; done';
    const example = supervisor(t, ['--workers=2'], script, { NOTIFY_SOCKET: manager.notifySocket });
    await manager.waitFor(/^READY=1$/);
    for (const worker of [1, 2]) await example.prints(new RegExp(`^worker ${worker} \\(\\d+\\) stdout: up$`));
    example.kill(signal);
    t.equal(await example.ended(), 0);
    await manager.waitFor(/^STOPPING=1$/);
    t.equal(count(example, /stdout: bye$/), 2, 'the last half lines are there');
    t.equal(count(example, /exited with 0 after \d+\.\d s, as it was asked to$/), 2);
    t.equal(count(example, /^worker [12] stopped$/), 2);
  }
});

t.test('a second signal forces the end of those that ignore the first, and of what they have started', async (t) => {
  const script = 'trap "" TERM; sleep 1000 & echo child $!; while :; do wait; sleep 1; done';
  const example = supervisor(t, ['--workers=2'], script);
  for (const worker of [1, 2]) await example.prints(new RegExp(`^worker ${worker} \\(\\d+\\) stdout: child`));
  const pids = example.lines
    .flatMap((line) => (line.match(/\d+/g) ?? []).slice(1).map(Number))
    .filter((pid) => pid > 2);
  example.kill('SIGTERM');
  example.kill('SIGINT');
  t.equal(await example.ended(), 0);
  t.equal(count(example, /was killed by SIGKILL after \d+\.\d s, as it was asked to, by force$/), 2);
  await untilOr(
    LIMIT,
    () => pids.every(isGone),
    () => `of ${pids} some still run`,
  );
});

t.test('a program that is not there is tried until the limit is met', async (t) => {
  const example = new RunningExample(t, 'supervisor', { args: ['--workers=1', '--limit=2/60', '--', '/nonexistent'] });
  t.equal(await example.ended(), 1);
  t.equal(count(example, /^worker 1 could not be started: ENOENT/), 2);
});

t.test('it has thirty lines of its own', async (t) => {
  const source = readFileSync(programPath('../../../examples/supervisor.ts', import.meta.url), 'utf8');
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^import [\s\S]*?;$/gm, '');
  const lines = code.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
  t.ok(lines.length <= 30, `${lines.length} lines`);
});

t.test('workers are told to end when the supervisor is killed, which can not do it', async (t) => {
  const example = supervisor(t, ['--workers=2'], 'echo up; exec sleep 1000');
  for (const worker of [1, 2]) await example.prints(new RegExp(`^worker ${worker} \\(\\d+\\) stdout: up$`));
  const pids = example.lines.flatMap((line) => (/\((\d+)\) started/.exec(line)?.[1] ?? []) as string | []).map(Number);
  t.equal(pids.length, 2);
  example.kill('SIGKILL');
  await untilOr(
    LIMIT,
    () => pids.every(isGone),
    () => `workers ${pids} go on`,
  );
});
