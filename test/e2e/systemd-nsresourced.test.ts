import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import { namespaceInode, O_NONBLOCK, O_PATH } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask, keptFiles, mapOf } from '../support/allocation.js';
import { startDaemon } from '../support/daemon.js';
import { inTree, needsDebianTree, treeProgram } from '../support/debian-tree.js';
import { Folder } from '../support/folder.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const SERVICE = 'io.systemd.NamespaceResource';
const WORKER = '/usr/lib/systemd/systemd-nsresourcework';
const START = 1_622_999_040;

/** Runs systemd's own daemon in a runtime directory until the test ends. */
async function startSystemd(t: Test, runtimeDirectory: string): Promise<void> {
  const [file = '', ...args] = inTree(runtimeDirectory, '/usr/lib/systemd/systemd-nsresourced');
  const { LISTEN_FDS: _, LISTEN_PID: __, NOTIFY_SOCKET: ___, ...env } = process.env;
  const child = spawn(file, args, { env, stdio: 'ignore' });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  let answered = false;
  while (!answered) {
    answered = await varlinkCall(`${runtimeDirectory}/${SERVICE}`, 'org.varlink.service.GetInfo').then(
      ({ parameters }) => parameters?.vendor !== 'sdrx',
      () => false,
    );
    if (child.exitCode !== null) throw new Error(`systemd-nsresourced ended with ${child.exitCode}`);
  }
}

/** A reply without what only newer releases of systemd add: whose error number it is, and its name. */
function plain({ error, parameters }: RawReply): RawReply {
  if (error !== 'io.systemd.System') return { ...(error && { error }), parameters: parameters ?? {} };
  return { error, parameters: { errno: parameters?.errno } };
}

type Query = readonly [method: string, parameters: object];

/**
 * Questions about a registry with `probe` and `alpha` in it, the latter with a single id. Left out is the last name of a
 * range, ns-probe-65535, that systemd 257 does not find though it does find the id.
 */
function queries(single: number): Query[] {
  const ids = [
    START,
    START + 1,
    START + 65_535,
    START + 65_536,
    START - 1,
    single,
    single + 1,
    0,
    1000,
    65_534,
    524_288,
  ];
  const wrongIds = [65_535, 2 ** 32 - 1, 2 ** 32, -1, 1.5, 'x', true, [], {}];
  const names = ['0', '1', '65534', '65536', '00', '01', '+1', ' 1', '-1', '', '0x1', '99999', '4294967296', 'x'];
  const allNames = [
    ...names.flatMap((offset) => [`ns-probe-${offset}`, `ns-alpha-${offset}`]),
    ...['ns-probe', 'probe', 'ns--0', 'ns-nobody-0', 'NS-probe-0', 'root', 'ns-a.b-0', 'ns-mapped-0', 'x'.repeat(300)],
    ...['', '.', '..', '-', '-1', '1', '12x', 'a:b', 'a/b', 'a b', ' a', 'a ', 'a\tb', 'a\n', 'é', '-a', 'ns-../x-0'],
  ];
  const both: [unknown, string][] = [
    [START + 3, 'ns-probe-3'],
    [START + 3, 'ns-probe-4'],
    [START, 'ns-alpha-0'],
    [single, 'ns-alpha-0'],
    [1, 'ns-probe-0'],
    [START, 'nobody'],
    [1, 'nobody'],
  ];
  const records = ['User', 'Group'].flatMap((kind) => {
    const [id, name, method] =
      kind === 'User' ? ['uid', 'userName', 'GetUserRecord'] : ['gid', 'groupName', 'GetGroupRecord'];
    return [
      ...[...ids, ...wrongIds].map((value) => ({ [id]: value })),
      ...[...allNames, 5].map((value) => ({ [name]: value })),
      ...both.map(([number, text]) => ({ [id]: number, [name]: text })),
      {},
      { unknown: 1 },
      { [id]: START, unknown: 1 },
      { [id]: START, service: 'another' },
      { service: 'another' },
      { service: 5 },
    ].map((parameters): Query => [method, { service: SERVICE, ...parameters }]);
  });
  const memberships = [{}, { userName: 'ns-probe-0' }, { groupName: 'root' }, { userName: 'a/b' }, { groupName: '' }];
  return [
    ...records,
    ...memberships.map((parameters): Query => ['GetMemberships', { service: SERVICE, ...parameters }]),
    ['GetMemberships', { service: 'another' }],
    ['GetMemberships', {}],
    ['GetUserRecord', {}],
    ['GetNothing', {}],
  ];
}

t.test('systemd-nsresourced gives the same answers about a registry that we wrote', needsDebianTree, async (t) => {
  using folder = new Folder();
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  using probe = new UserNamespace();
  using alpha = new UserNamespace();
  using mapped = new UserNamespace();
  {
    using probeFd = probe.open();
    using alphaFd = alpha.open();
    await allocate(daemon, probeFd, 'probe');
    await allocate(daemon, alphaFd, 'alpha', { size: 1 });
    using registry = Registry.open(daemon.runtimeDirectory);
    using mappedFd = mapped.open();
    registry.store({ owner: 0, name: 'mapped', userns: namespaceInode(mappedFd.number), cgroups: [] });
  }
  const single = Number(mapOf(alpha).split(' ')[1]);
  const answers = async (): Promise<RawReply[]> => {
    const replies: RawReply[] = [];
    for (const [method, parameters] of queries(single)) {
      replies.push(plain(await varlinkCall(daemon.socketPath, `io.systemd.UserDatabase.${method}`, parameters)));
    }
    return replies;
  };
  const ours = await answers();
  await daemon.stop();
  await startSystemd(t, folder.path);
  const theirs = await answers();
  for (const [index, query] of queries(single).entries())
    t.strictSame(ours[index], theirs[index], JSON.stringify(query));
  t.ok(ours.some(({ error }) => error === undefined));
});

t.test('systemd-nsresourcework answers as our worker', needsDebianTree, async (t) => {
  using folder = new Folder();
  const first = await startDaemon(t, { runtimeDirectory: folder.path });
  using probe = new UserNamespace();
  using fd = probe.open();
  await allocate(first, fd, 'probe');
  const ours = await ask(first, 'User', { uid: START + 5 });
  t.equal(ours.error, undefined);
  await first.stop();

  const worker = treeProgram(t, folder.path, WORKER);
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path, restriction: 'require', worker });
  const info = await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo');
  t.match(info.parameters, { vendor: 'The systemd Project' }, 'it is systemd that answers');
  t.strictSame(await ask(daemon, 'User', { uid: START + 5 }), ours);
  t.match(await allocate(daemon, fd, 'off'), { error: `${SERVICE}.UserNamespaceInterfaceNotSupported` });
  await daemon.stop();
});

/** Requests that are refused before anything is done, for a fresh namespace unless `open` says something else. */
const refusals: readonly (readonly [what: string, more: object, open?: (namespace: UserNamespace) => number])[] = [
  ...['a/b', 'a b', 'ä', 'a'.repeat(23), 5].map((name) => [`name ${name}`, { name }] as const),
  ['no name', { name: undefined }],
  ...[0, 2, 65_535, 65_537, -1, 2 ** 32, 1.5, 'x', true].map((size) => [`size ${size}`, { size }] as const),
  ['no size', { size: undefined }],
  ...[2 ** 32 - 1, 2 ** 32, -1, 2 ** 32 - 65_536, 1.5].map((target) => [`target ${target}`, { target }] as const),
  ['unknown', { unknown: 1 }],
  ...[1, -1, null, 0.5, undefined].map(
    (index) => [`descriptor ${index}`, { userNamespaceFileDescriptor: index }] as const,
  ),
  ['a network namespace', {}, () => openSync('/proc/self/ns/net', 'r')],
  ['a regular file', {}, () => openSync('/etc/passwd', 'r')],
  ['a directory', {}, () => openSync('/', 'r')],
  ['O_PATH', {}, ({ child }) => openSync(`/proc/${child.pid}/ns/user`, O_PATH)],
  ['O_NONBLOCK', {}, ({ child }) => openSync(`/proc/${child.pid}/ns/user`, O_NONBLOCK)],
  ['its own namespace', {}, () => openSync('/proc/self/ns/user', 'r')],
];

t.test('systemd-nsresourcework refuses the same requests with the same errors', needsDebianTree, async (t) => {
  const ours = await startDaemon(t);
  using folder = new Folder();
  // Its checks come before it notices that it can't restrict the namespace.
  const worker = treeProgram(t, folder.path, WORKER, ['NSRESOURCE_API=1']);
  const theirs = await startDaemon(t, { runtimeDirectory: folder.path, worker });
  for (const [what, more, open] of refusals) {
    using namespace = new UserNamespace();
    const fd = open?.(namespace) ?? openSync(`/proc/${namespace.child.pid}/ns/user`, 'r');
    try {
      const [reply, expected] = [
        await allocate(ours, fd, 'x', { ...more }),
        await allocate(theirs, fd, 'x', { ...more }),
      ];
      t.strictSame(plain(reply), plain(expected), what);
      t.not(reply.error, undefined);
    } finally {
      closeSync(fd);
    }
  }
  await theirs.stop();
});

t.test('systemd-nsresourced takes our registry over, and we take it back', needsDebianTree, async (t) => {
  using folder = new Folder();
  const first = await startDaemon(t, { runtimeDirectory: folder.path });
  using namespace = new UserNamespace();
  {
    using fd = namespace.open();
    await allocate(first, fd, 'probe');
  }
  const files = keptFiles(first);
  await first.stop();
  await t.test('systemd serves it and leaves it as it is', async (t) => {
    await startSystemd(t, folder.path);
    t.match(await ask(first, 'User', { userName: 'ns-probe-3' }), { parameters: { record: { uid: START + 3 } } });
    t.strictSame(keptFiles(first), files);
  });
  const next = await startDaemon(t, { runtimeDirectory: folder.path });
  t.match(await ask(next, 'User', { userName: 'ns-probe-3' }), { parameters: { record: { uid: START + 3 } } });
  t.equal(mapOf(namespace), `0 ${START} 65536`);
  namespace[Symbol.dispose]();
  await until(() => !keptFiles(next).some((file) => file.includes('probe')));
  await next.stop();
});
