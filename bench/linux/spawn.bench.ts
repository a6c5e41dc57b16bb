// What it costs to start a program, and to have something done on the way, from the call to the program's end.
import { spawnSync } from 'node:child_process';
import { type SpawnOptions, spawn, WEXITED, waitPidfd } from '@sdrx/linux';
import { median, range } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 7;
const RUNS_A_ROUND = 50;

const TRUE = '/bin/true';
const NOBODY = 65534;

/** As a service manager's child has to be told its own id without our options. */
const SHELL = '[ "$PPID" = "$0" ] || exit 0; export LISTEN_PID=$$; exec "$@"';

function run(file: string, options: SpawnOptions = {}): void {
  using child = spawn(file, options);
  if (waitPidfd(child.pidfd.number, WEXITED)?.status !== 0) throw new Error(`${file} failed`);
}

const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const activation = ['--pdeathsig', 'TERM', '--', 'sh', '-c', SHELL, String(process.pid)];
const subjects: readonly { readonly name: string; readonly run: () => void; readonly peer: () => void }[] = [
  { name: 'as we are, spawnSync of Node', run: () => run(TRUE), peer: () => spawnSync(TRUE, { stdio: 'inherit' }) },
  {
    name: 'as another user, setpriv(1)',
    run: () => run(TRUE, { user: { uid: NOBODY, gid: NOBODY } }),
    peer: () => run('setpriv', { args: [...ids, TRUE] }),
  },
  {
    name: 'with limits, prlimit(1)',
    run: () => run(TRUE, { limits: { nofile: [100, 200] } }),
    peer: () => run('prlimit', { args: ['--nofile=100:200', TRUE] }),
  },
  {
    name: 'activated, with a signal at our death, setpriv(1) and sh(1)',
    run: () => run(TRUE, { listenFds: { stdin: 0 }, parentDeathSignal: 'SIGTERM' }),
    peer: () =>
      run('setpriv', {
        args: [...activation, TRUE],
        env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'stdin' },
        fds: [0, 1, 2, 0],
      }),
  },
];

function measure(body: () => void): number {
  const took = Array.from({ length: RUNS_A_ROUND }, () => {
    const start = performance.now();
    body();
    return performance.now() - start;
  });
  return median(took);
}

printMachine();
const figures = subjects.map(() => ({ ours: [] as number[], peer: [] as number[] }));
for (let round = 0; round < ROUNDS; round++) {
  for (const [index, subject] of subjects.entries()) {
    figures[index]?.ours.push(measure(subject.run));
    figures[index]?.peer.push(measure(subject.peer));
  }
}
const milliseconds = (value: number) => `${value.toFixed(2)} ms`;
printTable([
  ['/bin/true, and the peer', 'ours', 'range', 'peer', 'range', 'ours in peers'],
  ...subjects.map(({ name }, index) => {
    const { ours = [], peer = [] } = figures[index] ?? {};
    return [
      name,
      milliseconds(median(ours)),
      range(ours, milliseconds),
      milliseconds(median(peer)),
      range(peer, milliseconds),
      times(median(ours), median(peer)),
    ];
  }),
]);
