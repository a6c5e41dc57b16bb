/**
 * Starts the namespace resource daemon, has it give a new user namespace its first range of ids, shows what came of it,
 * and stays until Ctrl-C. `npm start` runs it; `--runtime-directory=DIR` says where the daemon keeps its files.
 */
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { namespaceResource, Registry, userDatabase } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import {
  bind,
  Fd,
  namespaceInode,
  read,
  SOCK_DGRAM,
  setNonBlocking,
  socketPair,
  spawn,
  unixSocket,
  write,
} from '@sdrx/linux';
import { connect } from '@sdrx/varlink';
import { filter, firstValueFrom, map, merge } from 'rxjs';

const NAME = 'first-range';

const { values: options } = parseArgs({ options: { 'runtime-directory': { type: 'string' } } });
const given = options['runtime-directory'];
const directory = given === undefined ? mkdtempSync(join(tmpdir(), 'nsresourced-')) : resolve(given);
const createdHere = given === undefined || !existsSync(directory);
mkdirSync(directory, { recursive: true });

const loop = new EventLoop();
const loopEnd = loop.run();
const interruption = firstValueFrom(merge(loop.signal('SIGINT'), loop.signal('SIGTERM')));

// What the daemon tells its service manager comes to us. sd_notify(3)
const notifySocket = unixSocket(SOCK_DGRAM);
const notifyPath = join(directory, 'notify');
bind(notifySocket.number, notifyPath);
const message = Buffer.alloc(4096);
const ready = firstValueFrom(
  loop.io(notifySocket.number).pipe(
    map(() => message.toString('utf8', 0, read(notifySocket.number, message))),
    filter((text) => text.split('\n').includes('READY=1')),
  ),
);

const daemon = spawn(fileURLToPath(new URL('../../packages/daemon/bin/nsresourced', import.meta.url)), {
  // The BPF program would stay in the kernel, and take the place of a real daemon's.
  args: [`--runtime-directory=${directory}`, '--userns-restrict=off'],
  env: { ...process.env, NOTIFY_SOCKET: notifyPath },
});
const daemonEnd = firstValueFrom(loop.child(daemon));
const failure = daemonEnd.then(({ code, status }) => {
  throw new Error(`nsresourced ${code} with status ${status}`);
});

try {
  await Promise.race([ready, interruption, failure]);
  await Promise.race([showFirstRange(), interruption, failure]);
  say('\nThe daemon is yours until you press Ctrl-C. In another terminal:');
  say(`  varlinkctl info ${directory}/${namespaceResource.name}`);
  await Promise.race([interruption, failure]);
} finally {
  daemon.kill('SIGTERM');
  await daemonEnd;
  notifySocket.close();
  rmSync(createdHere ? directory : notifyPath, { recursive: true, force: true });
  loop.exit();
  await loopEnd;
}

async function showFirstRange(): Promise<void> {
  const { pid, namespace, end } = await newUserNamespace();
  const client = connect(loop, `${directory}/${namespaceResource.name}`);
  try {
    const { AllocateUserRange } = namespaceResource.methods;
    const request = { name: NAME, size: 65_536, userNamespaceFileDescriptor: 0 };
    await client.call(AllocateUserRange, request, { fds: [namespace.number] });

    const inode = namespaceInode(namespace.number);
    using registry = Registry.open(directory);
    const { name, range } = registry.byInode(inode) ?? {};
    if (range === undefined) throw new Error(`user namespace ${inode} is not in the registry`);
    const { GetUserRecord } = userDatabase.methods;
    const { parameters } = await client.call(GetUserRecord, { uid: range.start, service: namespaceResource.name });
    say(`\nnamespace  ${name}, inode ${inode}`);
    say(`range      ${range.start} to ${range.start + range.size - 1}, ${range.size} ids`);
    say(`uid_map    ${readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim()}`);
    say(`user       ${JSON.stringify(parameters.record, undefined, 2).replaceAll('\n', `\n${' '.repeat(11)}`)}`);
  } finally {
    client[Symbol.dispose]();
    await end();
  }
}

/** A user namespace, with a process in it that holds it until `end`. */
async function newUserNamespace(): Promise<{ pid: number; namespace: Fd; end: () => Promise<void> }> {
  const [ours, theirs] = socketPair();
  setNonBlocking(theirs.number, false);
  // What cat(1) echoes shows that it is inside.
  const child = spawn('unshare', { args: ['--user', 'cat'], fds: [theirs, theirs, 2] });
  theirs.close();
  const ended = firstValueFrom(loop.child(child));
  write(ours.number, Buffer.from('\n'));
  await firstValueFrom(loop.io(ours.number));
  read(ours.number, Buffer.alloc(1));
  const namespace = new Fd(openSync(`/proc/${child.pid}/ns/user`, 'r'));
  const end = async (): Promise<void> => {
    namespace.close();
    ours.close();
    await ended;
    child[Symbol.dispose]();
  };
  return { pid: child.pid, namespace, end };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
