import { existsSync, writeFileSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import t from 'tap';
import { UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { asUser, control, nsresourcectl } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';

async function untilEmpty(daemon: Daemon): Promise<void> {
  using registry = Registry.view(daemon.runtimeDirectory);
  await until(() => registry.inodes().length === 0);
}

t.test('allocate PATH makes a namespace that a bind mount holds, until it is released', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using folder = new Folder();
  const path = folder.join('pinned');
  t.strictSame(control(daemon, ['allocate', path]), { output: `${path}\n`, errors: '', status: 0 });
  t.teardown(() => runProgram('umount', ['-q', path]));
  const { output } = runProgram('nsenter', [`--user=${path}`, '-S0', '-G0', 'cat', '/proc/self/uid_map']);
  t.match(output, /^ +0 +\d+ +65536\n$/);
  t.match(control(daemon, ['list']).output, /^held-\d+ +0 /m);
  t.strictSame(control(daemon, ['release', path]), { output: `${path}\n`, errors: '', status: 0 });
  t.notOk(existsSync(path));
  await untilEmpty(daemon);
});

t.test('release takes a name or a lent id, too, and says who else holds the namespace', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using folder = new Folder();
  const path = folder.join('pinned');
  for (const which of ['mine', 'id']) {
    t.equal(control(daemon, ['allocate', '--name=mine', '--size=1', path]).status, 0);
    t.teardown(() => runProgram('umount', ['-q', path]));
    const [, id = ''] = / (\d+)-\d+ /.exec(control(daemon, ['list']).output) ?? [];
    const script = `exec 3<${path}; ${nsresourcectl} --runtime-directory=${daemon.runtimeDirectory} release $1 2>&1; echo $?`;
    const { output } = runProgram('sh', ['-c', script, 'sh', which === 'id' ? id : which]);
    t.match(output, new RegExp(`^${path}\nheld by process \\d+ \\(sh\\)\n1\n$`));
    await untilEmpty(daemon);
  }
});

t.test('what can not be is refused in words', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using folder = new Folder();
  const path = folder.join('pinned');
  runProgram('chmod', ['777', folder.path]);
  const refused = control(daemon, ['allocate', path], asUser(UID));
  t.match(refused, { output: '', errors: /only root may: take a descriptor/, status: 1 });
  t.notOk(existsSync(path), 'and no file is left');
  t.match(control(daemon, ['allocate', '--fd=3', path]), { errors: /--fd is for a command/, status: 2 });
  t.match(control(daemon, ['allocate']), { errors: /something is missing; see/, status: 2 });
  t.match(control(daemon, ['allocate', folder.join('no/such')]), { errors: /ENOENT/, status: 1 });
  writeFileSync(path, 'full');
  t.match(control(daemon, ['release', path]), {
    errors: /no user namespace .* is registered, nor mounted there/,
    status: 1,
  });
  await untilEmpty(daemon);
});
