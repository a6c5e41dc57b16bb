import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { enterUserNamespace, type NamespaceProcess } from '@sdrx/daemon';
import { firstValueFrom, map } from 'rxjs';
import t, { type Test } from 'tap';
import { kernelMap } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { childrenOf } from '../support/children.js';
import { isRunning } from '../support/is-running.js';
import { MUTE_FILES, MuteFuse, needsFuse } from '../support/mute-fuse.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { processes, Stopper, withHelpers } from '../support/with-helpers.js';

/** Tries to trace a process as one who may do anything in its namespace: prints the errno, 0 if it worked. */
const TRACE = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
print(0 if libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), 0, 0) == 0 else ctypes.get_errno())
`;

/** The errno with which user `UID` fails to trace a process. */
function traceError(pid: number): number {
  const python = ['/usr/bin/python3', '-c', TRACE, String(pid)];
  const { output } = runProgram('setpriv', [`--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', ...python], {
    cwd: '/',
  });
  return Number(output);
}

/** Has a process enter a namespace of user `UID`, and ends it after the test of it. */
function inside(
  t: Test,
  body: (process: NamespaceProcess, pid: number, namespace: UserNamespace) => void | Promise<void>,
): Promise<void> {
  return withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    await new Promise<void>((resolve, reject) => {
      const subscription = enterUserNamespace(context, fd.number, UID).subscribe({
        next: async (process) => {
          try {
            const [pid = 0, ...others] = processes(context.launcher);
            t.strictSame(others, [], 'one process');
            await body(process, pid, namespace);
            subscription.unsubscribe();
            await until(() => !existsSync(`/proc/${pid}`));
            resolve();
          } catch (error) {
            reject(error);
          }
        },
        error: reject,
      });
    });
  });
}

t.test('a process is in the namespace, and writes its maps', needsRoot, (t) =>
  inside(t, (process, pid, namespace) => {
    t.strictSame(process.readMap('uid_map'), []);
    process.writeMap('uid_map', { inside: 5, outside: 1_000_000, count: 10 });
    process.writeMap('gid_map', { inside: 6, outside: 2_000_000, count: 20 });
    t.equal(kernelMap(namespace.child.pid, 'uid_map'), '5 1000000 10');
    t.equal(kernelMap(namespace.child.pid, 'gid_map'), '6 2000000 20');
    t.strictSame(process.readMap('gid_map'), [{ inside: 6, outside: 2_000_000, count: 20 }]);
    t.throws(() => process.writeMap('uid_map', { inside: 0, outside: 0, count: 1 }), { code: 'EPERM' });
    t.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^State:\s+S/m, 'it waits');
  }),
);

t.test('whoever has all rights in the namespace can not trace it, which is root outside', needsRoot, (t) =>
  inside(t, (_process, pid, namespace) => {
    t.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\s+0\s+0\s+0\s+0$/m);
    t.equal(traceError(namespace.child.pid), 0, 'another process of the namespace can be traced');
    t.equal(traceError(pid), 1, 'EPERM');
  }),
);

t.test('it is ended also when the owner of the namespace has stopped it', needsRoot, (t) =>
  inside(t, async (_process, pid) => {
    process.kill(pid, 'SIGSTOP');
    await until(() => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
  }),
);

t.test('its maps are those of the namespace also after the owner of the namespace has killed it', needsRoot, (t) =>
  inside(t, async (inside, pid, namespace) => {
    process.kill(pid, 'SIGKILL');
    await until(() => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
    inside.writeMap('uid_map', { inside: 0, outside: 1_000_000, count: 1 });
    t.equal(kernelMap(namespace.child.pid, 'uid_map'), '0 1000000 1');
  }),
);

t.test('a namespace that can not be entered is an error, and no process is left', needsRoot, (t) =>
  withHelpers(t, async (context) => {
    for (const fd of [0, 1]) {
      await t.rejects(
        firstValueFrom(enterUserNamespace(context, fd, UID)),
        /no process could enter the user namespace/,
      );
    }
  }),
);

t.test('whom its owner stops before it has said anything is seen to be inside all the same', needsRoot, (t) =>
  withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    using stopper = new Stopper(context.launcher);
    await stopper.runs;
    for (let count = 0; count < 20; count++) {
      const process = await firstValueFrom(enterUserNamespace(context, fd.number, UID));
      t.ok(process);
    }
  }),
);

t.test('of one user there are so many at a time, others wait, and others than that user do not', needsRoot, (t) =>
  withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    const entered: string[] = [];
    const enter = (what: string, uid = UID, within?: number) =>
      new Promise<{ end: () => void }>((resolve, reject) => {
        const subscription = enterUserNamespace(context, fd.number, uid, within).subscribe({
          next: () => {
            entered.push(what);
            resolve({ end: () => subscription.unsubscribe() });
          },
          error: reject,
        });
      });
    const held = [await enter('first'), await enter('second')];
    const waits = enter('third', UID, 60_000);
    await t.rejects(enter('too late', UID, 50), { code: 'ETIMEDOUT' });
    held.push(await enter('of another user', UID + 1));
    t.strictSame(entered, ['first', 'second', 'of another user']);
    t.equal(processes(context.launcher).length, 3, 'who waits has no process');
    held.shift()?.end();
    held.push(await waits);
    t.equal(entered.at(-1), 'third');
    for (const one of held) one.end();
  }),
);

t.test('who leaves before there is a process leaves none behind', needsRoot, (t) =>
  withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    for (let count = 0; count < 10; count++) enterUserNamespace(context, fd.number, UID).subscribe().unsubscribe();
    t.ok(await firstValueFrom(enterUserNamespace(context, fd.number, UID)), 'the next one is not kept waiting');
  }),
);

t.test(
  'when the launcher is killed who waits for it gets an error, and the next one another launcher',
  needsRoot,
  (t) =>
    withHelpers(t, async (context) => {
      using namespace = new UserNamespace(UID);
      using fd = namespace.open();
      const { pid = 0 } = context.launcher;
      process.kill(pid, 'SIGSTOP');
      const waits = firstValueFrom(enterUserNamespace(context, fd.number, UID));
      process.kill(pid, 'SIGKILL');
      await t.rejects(waits, { code: 'ECONNRESET' });
      t.ok(await firstValueFrom(enterUserNamespace(context, fd.number, UID)));
      t.not(context.launcher.pid, pid);
    }),
);

t.test('who leaves at once gets nothing of who comes next, and takes nothing from it', needsRoot, (t) =>
  withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using mapped = new UserNamespace(UID, '--map-root-user');
    for (let count = 0; count < 20; count++) {
      using other = mapped.open();
      enterUserNamespace(context, other.number, UID + 1)
        .subscribe()
        .unsubscribe();
      other.close();
      // Most likely by the number that the other one had.
      using fd = namespace.open();
      const maps = await firstValueFrom(
        enterUserNamespace(context, fd.number, UID).pipe(map((process) => process.readMap('uid_map'))),
      );
      t.strictSame(maps, []);
    }
  }),
);

t.test('a launcher that does not answer is replaced', needsRoot, (t) =>
  withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    const { pid = 0 } = context.launcher;
    process.kill(pid, 'SIGSTOP');
    await t.rejects(firstValueFrom(enterUserNamespace(context, fd.number, UID, 2100)), { code: 'ETIMEDOUT' });
    await until(() => !existsSync(`/proc/${pid}`));
    t.ok(await firstValueFrom(enterUserNamespace(context, fd.number, UID)));
  }),
);

t.test('descriptors that can not be closed hold up neither it nor its launcher', needsFuse, (t) =>
  withHelpers(t, async (context) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    using fuse = await MuteFuse.start(t);
    t.equal(new Set(MUTE_FILES.map((file) => fuse.fd(file))).size, 4);
    t.ok(await firstValueFrom(enterUserNamespace(context, fd.number, UID)));
    // Another launcher has copies of them, and is stuck, alone.
    context.launcher.replace();
    await t.rejects(firstValueFrom(enterUserNamespace(context, fd.number, UID, 2100)), { code: 'ETIMEDOUT' });
  }),
);

t.test('with the process that began it ends, also when it is stopped', needsRoot, async (t) => {
  using namespace = new UserNamespace(UID);
  const worker: ChildProcess = fork(programPath('namespace-process-child.js', import.meta.url), [
    String(namespace.child.pid),
  ]);
  t.teardown(() => worker.kill('SIGKILL'));
  const [launcher] = await once(worker, 'message');
  const [pid = 0] = childrenOf(Number(launcher));
  process.kill(pid, 'SIGSTOP');
  await until(() => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
  worker.kill('SIGKILL');
  await until(() => !isRunning(pid) && !isRunning(Number(launcher)));
});
