import { readFileSync } from 'node:fs';
import { enterUserNamespace, type NamespaceProcess } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { firstValueFrom } from 'rxjs';
import t, { type Test } from 'tap';
import { kernelMap } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { children } from '../support/children.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

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
async function inside(
  t: Test,
  body: (process: NamespaceProcess, pid: number, namespace: UserNamespace) => void | Promise<void>,
): Promise<void> {
  using loop = new EventLoop();
  const running = loop.run();
  using namespace = new UserNamespace(UID);
  using fd = namespace.open();
  const before = children();
  await new Promise<void>((resolve, reject) => {
    const subscription = enterUserNamespace(loop, fd.number).subscribe({
      next: async (process) => {
        try {
          const [pid = 0, ...others] = children().filter((child) => !before.includes(child));
          t.strictSame(others, [], 'one process');
          await body(process, pid, namespace);
          subscription.unsubscribe();
          await until(() => !children().includes(pid));
          resolve();
        } catch (error) {
          reject(error);
        }
      },
      error: reject,
    });
  });
  loop.exit();
  await running;
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

t.test('a namespace that can not be entered is an error, and no process is left', needsRoot, async (t) => {
  using loop = new EventLoop();
  const running = loop.run();
  const before = children();
  for (const fd of [0, 1]) {
    await t.rejects(firstValueFrom(enterUserNamespace(loop, fd)), /no process could enter the user namespace/);
  }
  await until(() => children().every((child) => before.includes(child)));
  loop.exit();
  await running;
});
