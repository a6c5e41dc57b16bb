import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { type EventLoop, type HandOverPlan, handOver, listenUnix, RestartError, type Serving } from '@sdrx/event';
import { openFile, pipe, SOCK_SEQPACKET, sendMessage, socketPair } from '@sdrx/linux';
import { firstValueFrom, NEVER } from 'rxjs';
import t from 'tap';
import { children } from '../support/children.js';
import { Folder } from '../support/folder.js';
import { isRunning } from '../support/is-running.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { runProgram } from '../support/run-program.js';
import { runWithLimit } from '../support/run-with-limit.js';
import { onLoop } from './on-loop.js';
import { plainEnvironment } from './run-node.js';

// The programs that are started are no tests.
delete process.env.NODE_OPTIONS;

const odd = programPath('./programs/odd-successor.js', import.meta.url);
const heir = programPath('./programs/heir.js', import.meta.url);
const once = programPath('./programs/hand-over-once.js', import.meta.url);
const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());

/** Something that is served, and what it was told. */
function serving(exclusive = false): Serving & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    exclusive,
    count: NEVER,
    waiting: false,
    pause: () => told.push('pause'),
    resume: () => told.push('resume'),
    drain: async () => {},
  };
}

async function refused(loop: EventLoop, plan: HandOverPlan): Promise<RestartError> {
  const outcome = await handOver(loop, plan).catch((error: unknown) => error);
  if (!(outcome instanceof RestartError)) throw new Error(`no RestartError but ${String(outcome)}`);
  return outcome;
}

/** What the odd one does, why it is refused, and by which words. */
const oddities: readonly (readonly [how: string, reason: string, words: RegExp])[] = [
  ['lives', 'time-out', /\(400 ms\)/],
  ['exits', 'died', /exited 0/],
  ['exits with 3', 'died', /exited 3/],
  ['closes the channel', 'protocol', /it has closed its end of the channel/],
  ['forks and exits', 'died', /exited 0/],
  ['sends nonsense', 'protocol', /JSON/],
  ['sends a number', 'protocol', /a message must be an object/],
  ['sends the wrong word', 'protocol', /'accepting' instead of 'taken'/],
  ['sends an odd progress', 'protocol', /text/],
  ['fails', 'failed', /there is\nno room/],
];
for (const [how, reason, words] of oddities) {
  t.test(
    `a new process that ${how}`,
    onLoop(async (t, loop) => {
      const served = serving();
      const program = { file: process.execPath, args: [odd, how] };
      // The one that lives must not have begun; the others have time to.
      const readyWithin = how === 'lives' ? 400 : 30_000;
      const error = await refused(loop, { program, servings: [served], readyWithin });
      t.equal(error.reason, reason);
      t.match(error.message, words);
      t.strictSame(children(), []);
      t.strictSame(served.told, ['resume']);
    }),
  );
}

t.test(
  'a new process that has ended and had not read all is refused for what it has said',
  onLoop(async (t, loop) => {
    const program = { file: process.execPath, args: [odd, 'fails and has read nothing'] };
    // The old process looks when the new one is gone.
    const onPhase = (_: string, pid: number) => {
      while (isRunning(pid)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    };
    const error = await refused(loop, { program, onPhase });
    t.equal(error.reason, 'failed');
    t.match(error.message, /there is no room/);
    t.strictSame(children(), []);
  }),
);

t.test(
  'a program that is none is refused before or after it is started, with its path',
  onLoop(async (t, loop) => {
    const plain = folder.join('plain');
    writeFileSync(plain, 'no program');
    const script = folder.join('script.mjs');
    writeFileSync(script, 'this is no script');
    chmodSync(script, 0o755);
    const cases = [
      [{ file: folder.join('missing'), args: [] }, 'program', /ENOENT.*missing/],
      [{ file: 'no-such-program-at-all', args: [] }, 'program', /ENOENT.*no-such-program-at-all/],
      [{ file: plain, args: [] }, 'program', /EACCES.*plain/],
      [{ file: script, args: [] }, 'program', /ENOEXEC|exited 127/],
      [{ file: process.execPath, args: [script] }, 'died', /exited 1/],
    ] as const;
    for (const [program, reason, words] of cases) {
      const error = await refused(loop, { program });
      t.match(error.message, words);
      t.equal(error.reason, reason, program.args.join());
    }
    t.strictSame(children(), []);
  }),
);

t.test(
  'what can not be handed is refused, and nothing is started',
  onLoop(async (t, loop) => {
    const program = { file: process.execPath, args: [odd, 'exits'] };
    const [reader, writer] = pipe();
    writer.close();
    t.match(await refused(loop, { program, fds: { gone: writer } }), { reason: 'failed', message: /EBADF/ });
    reader.close();
    const state = () => ({ big: 1n });
    const served = serving();
    const error = await refused(loop, { program: { file: process.execPath, args: [heir] }, state, servings: [served] });
    t.match(error, { reason: 'failed', message: /BigInt/, cause: TypeError });
    t.match(await refused(loop, { program: { file: process.execPath, args: [heir] }, state: () => () => {} }), {
      reason: 'failed',
      message: /state.* must be a value that JSON knows/,
    });
    const thrown = () => {
      throw new Error('not now');
    };
    t.match(await refused(loop, { program: { file: process.execPath, args: [heir] }, onPhase: thrown }), {
      reason: 'failed',
      message: /not now/,
    });
    t.match(await refused(loop, { program, signal: AbortSignal.abort() }), { reason: 'stopping' });
    t.strictSame(children(), []);
  }),
);

t.test('few descriptors: it is refused, and what was opened is closed', (t) => {
  for (const room of [0, 1, 3, 20]) {
    t.match(runWithLimit(200, once, String(room)), { isRestartError: true, reason: 'descriptors', left: 0 }, `${room}`);
  }
  t.match(runWithLimit(200, once, '60'), { reason: 'died', left: 0 });
  t.end();
});

t.test('the first process of a PID namespace has no successor', (t) => {
  const { output } = runNode([once], ['unshare', '--pid', '--fork', '--kill-child']);
  t.match(JSON.parse(output), { isRestartError: true, reason: 'pid-namespace', left: 0 });
  t.end();
});

t.test(
  'six hundred descriptors and a state of 50 MB are handed over; what nobody takes is closed',
  onLoop(async (t, loop) => {
    const text = folder.join('text');
    writeFileSync(text, 'the same');
    const fds = Array.from({ length: 600 }, () => openFile(text));
    using unix = listenUnix(folder.join('unix'));
    const served = serving();
    const exclusive = serving(true);
    const environment = { LISTEN_FDS: '3', WATCHDOG_USEC: '9000000', WATCHDOG_PID: '1' };
    Object.assign(process.env, environment, { SYSTEMD_EXEC_PID: String(process.pid) });
    try {
      const phases: string[] = [];
      const output = folder.join('said');
      const successor = await handOver(loop, {
        program: { file: 'sh', args: ['-c', `exec "$0" "$@" > '${output}'`, process.execPath, heir, '300'] },
        fds: Object.fromEntries(fds.map((fd, index) => [`fd ${index}`, fd])),
        sockets: [{ name: 'unix', passed: false, fileIdentity: 'x', fd: unix.fd }],
        state: () => 'x'.repeat(50 * 1024 * 1024),
        servings: [served, exclusive],
        generation: 6,
        onPhase: (phase) => phases.push(`${phase} ${served.told.join()} ${exclusive.told.join()}`),
      });
      t.strictSame(phases, [
        'spawned  ',
        'taken  ',
        'state-sent  ',
        'ready  ',
        'accept  pause',
        'accepting pause pause,pause',
        'told pause pause,pause',
        'heard pause pause,pause',
        'main pause pause,pause',
      ]);
      successor.reload();
      successor.tell({ count: 7 });
      successor.stop();
      t.throws(() => successor.tell(() => {}), { message: /last state.* must be a value that JSON knows/ });
      t.strictSame(children(), [successor.pid]);
      const exit = firstValueFrom(loop.child(successor.pid));
      successor[Symbol.dispose]();
      t.match(await exit, { code: 'exited', status: 0 });
      t.strictSame(children(), []);
      const said: unknown = readFileSync(output, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
      t.match(said, [
        {
          generation: 7,
          sockets: [{ name: 'unix', passed: false, fileIdentity: 'x' }],
          draining: 1,
          state: 50 * 1024 * 1024,
          texts: ['the same'],
          env: { WATCHDOG_PID: String(successor.pid), SYSTEMD_EXEC_PID: String(successor.pid) },
          pid: successor.pid,
        },
        { nothing: null, sockets: 0 },
        { succession: 'main' },
        { said: { type: 'reload' } },
        { said: { type: 'last', value: { count: 7 } } },
        { said: { type: 'stop' } },
        // The variable's descriptor, and those that came with it.
        { left: -1 },
      ]);
    } finally {
      for (const name of [...Object.keys(environment), 'SYSTEMD_EXEC_PID']) delete process.env[name];
      for (const fd of fds) fd.close();
    }
  }),
);

t.test('a new process that is started by an unknown protocol takes nothing, and says so', (t) => {
  const hello = {
    type: 'hello',
    protocol: 1,
    generation: 1,
    sockets: [],
    fds: [],
    draining: 1,
    startedByManager: false,
  };
  const cases = [
    [{ ...hello, protocol: 2 }, /speaks otherwise: protocol must be 1, not 2/],
    [{ ...hello, type: 'hi' }, /speaks otherwise: type must be 'hello'/],
    [{ ...hello, draining: 0 }, /speaks otherwise: `draining`/],
    [{ ...hello, sockets: [{ name: 7 }] }, /speaks otherwise: `sockets\[0\].name`/],
    [hello, /has announced 1 descriptors, and sent others/],
    [undefined, /is gone, or has said nothing/],
  ] as const;
  for (const [first, words] of cases) {
    const [ours, theirs] = socketPair(SOCK_SEQPACKET);
    if (first !== undefined) sendMessage(ours.number, Buffer.from(JSON.stringify(first)));
    const { output, exit } = runProgram('sh', ['-c', '"$0" "$@" 2>&1', process.execPath, heir], {
      env: { ...plainEnvironment, SDRX_RESTART_FD: '3' },
      fds: [null, null, 2, theirs],
    });
    t.match(output, words);
    t.match(exit, { code: 'exited', status: 1 });
    ours.close();
    theirs.close();
  }
  t.end();
});
