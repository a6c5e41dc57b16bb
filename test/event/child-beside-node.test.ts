import { type ChildProcess, execFileSync, spawn as nodeSpawn } from 'node:child_process';
import { once } from 'node:events';
import { EventLoop } from '@sdrx/event';
import { pidfdOpen, type SignalInfo, signalNumber, spawn } from '@sdrx/linux';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import t from 'tap';
import { hasSignal } from '../support/signal-status.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';
import { runNode } from './run-node.js';

const SIGCHLD = signalNumber('SIGCHLD');

function exiting(status: number): ChildProcess {
  return nodeSpawn('sh', ['-c', `exit ${status}`], { stdio: 'ignore' });
}

function waiting(): ChildProcess {
  return nodeSpawn('sleep', ['1000'], { stdio: 'ignore' });
}

// In a file of its own: from its first child on Node catches SIGCHLD, and keeps a descriptor or two.
t.test("children of Node's own and of ours end each where they belong", async (t) => {
  using loop = new EventLoop();
  const finished = loop.run();
  const nodes = Array.from({ length: 20 }, (_, status) => {
    const child = nodeSpawn('sh', ['-c', `exit ${status}`], { stdio: 'ignore' });
    return new Promise((resolve) => child.once('exit', resolve));
  });
  const ours = Array.from({ length: 20 }, async (_, status) => {
    using child = spawn('sh', { args: ['-c', `exit ${100 + status}`] });
    return (await lastValueFrom(loop.child(child))).status;
  });
  t.strictSame(
    await Promise.all(nodes),
    nodes.map((_, status) => status),
  );
  t.strictSame(
    await Promise.all(ours),
    ours.map((_, status) => 100 + status),
  );
  loop.exit();
  await finished;
});

for (const when of ['before', 'after'] as const) {
  t.test(`SIGCHLD, subscribed to ${when} Node has children, reaches the loop and Node`, async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    const received: SignalInfo[] = [];
    const subscribe = () => loop.signal('SIGCHLD').subscribe((info) => received.push(info));
    const early = when === 'before' ? subscribe() : undefined;
    const children = Array.from({ length: 20 }, (_, status) => exiting(status));
    const late = early ?? subscribe();
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
    t.strictSame(
      codes,
      children.map((_, status) => status),
    );
    // Of several that are pending at a time one is told, as of every standard signal; some time there is only one.
    for (let told = false; !told; ) {
      const child = exiting(0);
      await once(child, 'exit');
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      told = received.some(({ pid }) => pid === child.pid);
    }
    t.ok(received.every(({ signo, code }) => signo === SIGCHLD && code > 0));
    late.unsubscribe();
    const [code] = await once(exiting(7), 'exit');
    t.equal(code, 7);
    t.notOk(hasSignal('SigBlk', SIGCHLD));
    loop.exit();
    await finished;
  });
}

t.test(
  'children that ended while SIGCHLD was not read yet are told to Node after the subscription',
  onLoop(async (t, loop) => {
    const subscription = loop.signal('SIGCHLD').subscribe();
    const child = exiting(3);
    const other = spawn('true');
    // Blocks, so that nobody reads meanwhile.
    execFileSync('sleep', ['0.1']);
    subscription.unsubscribe();
    const [code] = await once(child, 'exit');
    t.equal(code, 3);
    await firstValueFrom(loop.child(other, { own: true }));
  }),
);

t.test(
  'Node waits for a program in execFileSync while a loop listens to SIGCHLD',
  onLoop((t, loop) => {
    const subscription = loop.signal('SIGCHLD').subscribe();
    for (let round = 0; round < 10; round++) {
      t.equal(execFileSync('echo', [`${round}`], { encoding: 'utf8', timeout: 5000 }), `${round}\n`);
    }
    subscription.unsubscribe();
  }),
);

t.test(
  "listeners of Node's for SIGCHLD are told, too",
  onLoop(async (t, loop) => {
    let told = 0;
    const listener = (): void => {
      told++;
    };
    process.on('SIGCHLD', listener);
    const subscription = loop.signal('SIGCHLD').subscribe();
    process.kill(process.pid, 'SIGCHLD');
    await until(() => told > 0);
    process.off('SIGCHLD', listener);
    subscription.unsubscribe();
    t.pass('it was');
  }),
);

const ways: Readonly<Record<string, (child: ChildProcess) => Parameters<EventLoop['child']>[0]>> = {
  'as what node:child_process gave': (child) => child,
  'by its id': ({ pid = -1 }) => pid,
  'by a pidfd': ({ pid = -1 }) => pidfdOpen(pid),
};

for (const [way, of] of Object.entries(ways)) {
  t.test(
    `a child of Node's, given ${way}, is told to both`,
    onLoop(async (t, loop) => {
      const codes = await Promise.all(
        Array.from({ length: 20 }, async (_, status) => {
          const child = exiting(status);
          const told = lastValueFrom(loop.child(of(child), { own: true }));
          const [[code], { pid, ...exit }] = await Promise.all([once(child, 'exit'), told]);
          t.equal(pid, child.pid);
          t.strictSame(exit, { code: 'exited', status });
          return code;
        }),
      );
      t.strictSame(
        codes,
        codes.map((_, status) => status),
      );

      const child = waiting();
      const exit = once(child, 'exit');
      const changes: string[] = [];
      const options = { own: true, stopped: true, continued: true };
      loop.child(of(child), options).subscribe(({ code }) => changes.push(code));
      for (const signal of ['SIGSTOP', 'SIGCONT', 'SIGTERM'] as const) {
        const { length } = changes;
        child.kill(signal);
        await until(() => changes.length > length);
      }
      t.strictSame(changes, ['stopped', 'continued', 'killed']);
      t.strictSame(await exit, [null, 'SIGTERM']);

      const owned = waiting();
      const ended = once(owned, 'exit');
      loop.child(of(owned), { own: true }).subscribe().unsubscribe();
      t.strictSame(await ended, [null, 'SIGKILL']);
    }),
  );
}

t.test(
  "one of Node's that has ended before is told",
  onLoop(async (t, loop) => {
    const child = exiting(5);
    await once(child, 'exit');
    t.strictSame(await lastValueFrom(loop.child(child)), { pid: child.pid, code: 'exited', status: 5 });
    t.notOk(child.listenerCount('exit'));
  }),
);

t.test('one that Node could not start is no process', async (t) => {
  using loop = new EventLoop();
  // Node keeps a descriptor of it for a while.
  const failed = nodeSpawn('/does/not/exist');
  await once(failed, 'error');
  await t.rejects(lastValueFrom(loop.child(failed)), { code: 'ESRCH', subject: '/does/not/exist' });
});

t.test('a process that had such children ends by itself', (t) => {
  for (const how of ['child', 'pid', 'started-before', 'SIGCHLD']) {
    t.match(
      runNode('children-of-node', [how]),
      { exit: { code: 'exited', status: 0 }, output: '20 told, 20 exited\n' },
      how,
    );
  }
  t.end();
});
