import { spawn as spawnProgram } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from '@sdrx/daemon';
import { spawn } from '@sdrx/linux';
import t from 'tap';
import { UID } from '../support/call-as.js';
import { children, childrenOf } from '../support/children.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { asUser, control, nsresourcectl } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';

const user = asUser(UID);

const needsPerl = existsSync('/usr/bin/perl') ? needsRoot : { skip: 'no /usr/bin/perl' };

/** Variables that the shell part could have for itself. */
const NAMES = ['verb=v', 'network=n', 'words=w', 'user=u'];

/** Who asks the daemon. An option has Node do it, even one that changes nothing. */
const ASKERS: readonly (readonly [asker: string, options: readonly string[], needs: object])[] = [
  ['perl', [], needsPerl],
  ['Node', ['--map=0'], needsRoot],
];

/** Runs a shell script by `nsresourcectl run`, as a user. */
function runScript(daemon: Daemon, script: string, ...options: readonly string[]) {
  return control(daemon, ['run', ...options, '--', 'sh', '-c', script], user);
}

/** The same, for who starts it in another way. */
function runWords(daemon: Daemon, script: string, ...options: readonly string[]): string[] {
  const words = [nsresourcectl, `--runtime-directory=${daemon.runtimeDirectory}`, 'run'];
  return [...words, ...options, '--', 'sh', '-c', script];
}

async function untilEmpty(daemon: Daemon): Promise<void> {
  using registry = Registry.view(daemon.runtimeDirectory);
  await until(() => registry.inodes().length === 0);
}

for (const [asker, options, needs] of ASKERS) {
  t.test(`run gives a command 65,536 ids, of which the first is root, by ${asker}`, needs, async (t) => {
    const daemon = await startDaemon(t);
    const script = 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map';
    const { output, errors, status } = runScript(daemon, script, ...options);
    const [uid, gid, users, groups] = output.split('\n').map((line) => line.trim().split(/ +/));
    t.strictSame([uid, gid], [['0'], ['0']], errors);
    t.match(users, ['0', /^\d{6,10}$/, '65536']);
    t.strictSame(groups, users);
    t.strictSame([errors, status], ['', 0]);
    await untilEmpty(daemon);
  });

  t.test(`the exit status is the command’s, by ${asker}`, needs, async (t) => {
    const daemon = await startDaemon(t);
    t.equal(runScript(daemon, 'exit 7', ...options).status, 7);
    t.equal(runScript(daemon, 'kill -TERM $$', ...options).status, 128 + 15);
    t.match(control(daemon, ['run', ...options, '--', '/no/such'], user), {
      status: 127,
      errors: /^nsresourcectl: .*not found/,
    });
    t.match(control(daemon, ['run', ...options, '--', '/etc/passwd'], user), {
      status: 126,
      errors: /^nsresourcectl: .*denied/,
    });
  });

  t.test(`the command takes its place: it has its process id, and its signals, by ${asker}`, needs, async (t) => {
    const daemon = await startDaemon(t);
    const folder = mkdtempSync(join(tmpdir(), 'sdrx-test-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const script = 'exec sleep 1000';
    const run = runWords(daemon, script, ...options);
    const [file = '', ...args] = [...user, ...run];
    using child = spawn(file, { args, cwd: '/' });
    using registry = Registry.view(daemon.runtimeDirectory);
    await until(() => registry.byName(`${UID}-run-${child.pid}`) !== undefined);
    await until(() => runProgram('cat', [`/proc/${child.pid}/comm`]).output === 'sleep\n');
    t.strictSame(runProgram('pgrep', ['-P', String(child.pid)]).output, '', 'it has no children that it did not make');
    child.kill('SIGINT');
    t.match(waitForExit(child), { code: 'killed', status: 2 });
    await untilEmpty(daemon);
  });

  t.test(`signals, limits, descriptors and variables are those of the caller, by ${asker}`, needs, async (t) => {
    const daemon = await startDaemon(t);
    const script =
      'grep -E "^Sig(Ign|Blk)" /proc/self/status; ulimit -Sn; ls /proc/$$/fd; env | grep -E "^(A|NSR|nsr|verb|network|words|user)"; umask';
    const caller = (...command: readonly string[]) => {
      const shell = 'umask 027; ulimit -Sn 333; exec 5</dev/null 8</dev/null "$@"';
      const signals = ['--ignore-signal=HUP', '--ignore-signal=PIPE', '--block-signal=USR1'];
      return runProgram('env', [...signals, 'A=b', ...NAMES, 'sh', '-c', shell, 'sh', ...user, ...command], {
        cwd: '/',
      }).output;
    };
    const expected = caller('sh', '-c', script);
    t.match(expected, /^333$/m);
    const run = runWords(daemon, script, ...options);
    t.equal(caller(...run), expected);
  });

  t.test(`where the name is taken it takes another one, by ${asker}`, needs, async (t) => {
    const daemon = await startDaemon(t);
    const run = [...user, nsresourcectl, `--runtime-directory=${daemon.runtimeDirectory}`, 'run', ...options, '--'];
    // In PID namespaces of their own both have the process id 1.
    const words = ['--pid', '--fork', '--mount-proc', ...run, 'sleep', '1000'];
    using registry = Registry.view(daemon.runtimeDirectory);
    const names = () => registry.inodes().map((inode) => registry.byInode(inode)?.name ?? '');
    using first = spawn('unshare', { args: words, cwd: '/', fds: [null, null, null] });
    await until(() => String(names()) === `${UID}-run-1`);
    using second = spawn('unshare', { args: words, cwd: '/', fds: [null, null, null] });
    await until(() => names().length === 2);
    t.match(String(names().filter((name) => name !== `${UID}-run-1`)), new RegExp(`^${UID}-run-[0-9a-z]+$`));
    for (const child of [first, second]) {
      for (const pid of childrenOf(child.pid)) process.kill(pid, 'SIGKILL');
      waitForExit(child);
    }
    await untilEmpty(daemon);
  });
}

t.test('without options it asks as Node does, and needs no Node', needsPerl, async (t) => {
  const daemon = await startDaemon(t);
  using folder = new Folder();
  writeFileSync(folder.join('node'), '#!/bin/sh\nexit 99\n', { mode: 0o755 });
  const withoutNode = ['env', `PATH=${folder.path}:${process.env.PATH}`];
  t.match(control(daemon, ['run', '--', 'id', '-u'], withoutNode), { output: '0\n', errors: '', status: 0 });
  t.match(control(daemon, ['run', '--map=0', '--', 'id', '-u'], withoutNode), { output: '', status: 99 });
});

t.test('perl changes nothing of the environment, and does nothing that it is told there', needsPerl, async (t) => {
  const daemon = await startDaemon(t);
  const script = ['run', '--', 'sh', '-c', 'printenv LC_ALL || echo none; printenv PERL5OPT || echo none'];
  for (const [variable, output] of [
    ['LC_ALL=no_SUCH.UTF-8', 'no_SUCH.UTF-8\nnone\n'],
    ['--unset=LC_ALL', 'none\nnone\n'],
    ['PERL5OPT=-MNo::Such', `${process.env.LC_ALL ?? 'none'}\n-MNo::Such\n`],
  ] as const)
    t.strictSame(control(daemon, script, ['env', variable]), { output, errors: '', status: 0 }, variable);
});

t.test('where the daemon says no to perl, Node asks the same once more', needsPerl, async (t) => {
  using folder = new Folder();
  const messages: string[] = [];
  const server = createServer((client) => {
    let text = '';
    client.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (!text.endsWith('\0')) return;
      messages.push(text);
      client.end(messages.length % 2 === 0 ? '' : '{"error":"org.example.No","parameters":{}}\0');
    });
  });
  server.listen(folder.join('io.systemd.NamespaceResource'));
  await once(server, 'listening');
  const child = spawnProgram(nsresourcectl, [`--runtime-directory=${folder.path}`, 'run', '--', 'true'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const errors = child.stderr.setEncoding('utf8').toArray();
  const [status] = await once(child, 'close');
  t.equal(status, 125);
  t.match((await errors).join(''), /^nsresourcectl: the service at \S+ has closed the connection without a reply\n$/);
  t.equal(messages.length, 2);
  t.equal(messages[0], messages[1]);
  server.close();
  await once(server, 'close');
});

t.test('its files may have many owners', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const script = `folder=$(mktemp -d) && cd $folder && touch a b && chown 65535:1 a && chown 1000 b && stat -c %u:%g a b
    cd / && rm -r $folder`;
  t.strictSame(runScript(daemon, script), { output: '65535:1\n1000:0\n', errors: '', status: 0 });
});

t.test('it has no rights outside', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const { output, status } = runScript(daemon, 'cat /etc/shadow; echo >/proc/sys/kernel/hostname; id -u');
  t.strictSame([output, status], ['0\n', 0]);
});

t.test('the namespace is called as the process that is in it, or as one likes', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const list = (text: string) => `${nsresourcectl} --runtime-directory=${daemon.runtimeDirectory} ${text}`;
  const { output } = runScript(daemon, `echo $$; ${list('list')}`);
  const [pid] = output.split('\n');
  t.match(output, new RegExp(`^${UID}-run-${pid} +${UID} `, 'm'));
  t.match(runScript(daemon, list('list'), '--name=mine').output, new RegExp(`^${UID}-mine `, 'm'));
  t.match(control(daemon, ['run', '--name', 'mine', '--', 'sh', '-c', list('list')]).output, /^mine +0 /m, 'for root');
});

t.test('--size and --map say how many, and what they are inside', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const script = 'id -u; cat /proc/self/uid_map';
  t.match(runScript(daemon, script, '--size=1').output, /^0\n +0 +\d+ +1\n$/);
  t.match(runScript(daemon, script, '--map=1000').output, /^1000\n +1000 +\d+ +65536\n$/);
});

t.test('--network gives it an interface, whose other end is the host’s', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const { output, errors } = runScript(
    daemon,
    `cut -d: -f1 /proc/net/dev; ${nsresourcectl} --runtime-directory=${daemon.runtimeDirectory} show ${UID}-net`,
    '--network',
    '--name=net',
  );
  t.match(output, /^ *host0$/m, errors);
  const [, host = ''] = /Interface: (ns-\w+)/.exec(output) ?? [];
  t.match(host, /^ns-/);
  await untilEmpty(daemon);
  t.notOk(readdirSync('/sys/class/net').includes(host), 'which is gone with it');
});

for (const shell of ['dash', 'bash']) {
  const skip = runProgram('sh', ['-c', `command -v ${shell}`]).output === '' && `no ${shell}`;
  t.test(`${shell} says nothing of its own when it is the system's shell`, skip ? { skip } : needsRoot, async (t) => {
    const daemon = await startDaemon(t);
    const script = `exec ${shell} "$@"`;
    for (const [asker, options] of ASKERS) {
      const result = control(daemon, ['run', ...options, '--', 'id', '-u'], ['sh', '-c', script, 'sh']);
      t.strictSame(result, { output: '0\n', errors: '', status: 0 }, asker);
    }
  });
}

t.test('it has the terminal', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const script = 'tty; ps -o tpgid= -o pgid= -p $$; stty -a | grep -o "[-]*icanon"';
  const run = `${nsresourcectl} --runtime-directory=${daemon.runtimeDirectory} run -- sh -c '${script}'`;
  const { output } = runProgram('script', ['-qec', run, '/dev/null'], { cwd: '/' });
  const [tty, groups = '', mode] = output.split('\r\n');
  t.match(tty, /^\/dev\/pts\//);
  const [foreground, own] = groups.trim().split(/ +/);
  t.equal(foreground, own, 'and is in the foreground');
  t.equal(mode, 'icanon');
});

t.test('allocate gives a command the namespace as a descriptor', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const script =
    'id -u; readlink /proc/self/fd/3; nsenter --user=/proc/self/fd/3 -S0 -G0 cat /proc/self/uid_map; exit 9';
  const { output, errors, status } = control(daemon, ['allocate', '--', 'sh', '-c', script], user);
  t.match(output, new RegExp(`^${UID}\nuser:\\[\\d+\\]\n +0 +\\d+ +65536\n$`), errors);
  t.equal(status, 9);
  const seventh = control(daemon, ['allocate', '--fd=7', '--', 'readlink', '/proc/self/fd/7'], user);
  t.match(seventh, { output: /^user:/, status: 0 });
  await untilEmpty(daemon);
});

const REFUSED: readonly (readonly [what: string, args: readonly string[], message: RegExp])[] = [
  ['no command', ['run', '--'], /there is no command after --/],
  ['a word before the command', ['run', 'x', '--', 'true'], /'x' stands before --/],
  ['an unknown option', ['run', '--bogus', '--', 'true'], /--bogus/],
  ['a size that is none', ['run', '--size=2', '--', 'true'], /--size takes 1 or 65536, not '2'/],
  ['an id that is none', ['run', '--map=-1', '--', 'true'], /--map takes an id/],
  ['ids beyond 32 bits', ['run', '--map=4294967290', '--', 'true'], /does not take the 'target'/],
  ['a name that is none', ['run', '--name=a/b', '--', 'true'], /--name=a\/b is not possible/],
  ['a name that is taken', ['run', '--name=taken', '--', 'true'], /of the name 'taken' already.*NameExists/],
  ['a descriptor that is none', ['allocate', '--fd=10', '--', 'true'], /--fd takes a number from 3 to 9, not '10'/],
];

t.test('what can not be is refused in words, with 125', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const [file = '', ...args] = user;
  const holder = [
    nsresourcectl,
    `--runtime-directory=${daemon.runtimeDirectory}`,
    'run',
    '--name=taken',
    '--',
    'sleep',
    '1000',
  ];
  using child = spawn(file, { args: [...args, ...holder], cwd: '/' });
  using registry = Registry.view(daemon.runtimeDirectory);
  await until(() => registry.byName(`${UID}-taken`) !== undefined);
  for (const [what, words, message] of REFUSED) {
    t.match(control(daemon, words, user), { output: '', errors: message, status: 125 }, what);
  }
  child.kill('SIGKILL');
  waitForExit(child);
  await untilEmpty(daemon);
  t.strictSame(children(), [daemon.pid], 'and leaves no process behind');
});

t.test('who calls it wrongly is told how', async (t) => {
  const nowhere = { runtimeDirectory: '/nonexistent' };
  t.match(control(nowhere, ['run', 'true']), {
    status: 2,
    errors: /there is no command: nsresourcectl run -- COMMAND/,
  });
  t.match(control(nowhere, ['run', '--help']), { status: 0, output: /^Usage: nsresourcectl run / });
  t.match(control(nowhere, ['run', '--help', '--', 'x']), {
    status: 0,
    output: '',
    errors: /^Usage: nsresourcectl run /,
  });
  t.match(runProgram(process.execPath, [nsresourcectl, 'run', '--', 'true']).exit, { status: 2 });
});

t.test('without a daemon it says what to do', needsRoot, async (t) => {
  const { errors, status } = control({ runtimeDirectory: '/nonexistent' }, ['run', '--', 'true'], user);
  t.match(errors, /^nsresourcectl: no daemon listens at \/nonexistent\/io.systemd.NamespaceResource: start one/);
  t.equal(status, 125);
});

t.test('where the daemon gives no ids it says why', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require' });
  const { errors, status } = control(daemon, ['run', '--', 'true'], user);
  // A kernel that can restrict gives them.
  if (status !== 0) t.match(errors, /the daemon gives no ids here.*UserNamespaceInterfaceNotSupported/);
});
