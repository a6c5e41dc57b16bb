import { openSync } from 'node:fs';
import { Ledger, Registry } from '@sdrx/daemon';
import { connect, Fd, namespaceInode, ReceiveBuffer, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { given } from '../support/allocation.js';
import { MuteFuse, needsFuse } from '../support/mute-fuse.js';
import { readable } from '../support/readable.js';
import { startWithSigns } from '../support/signs.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';

const UID = 1000;
const ANOTHER = 1001;
const INFO = 'org.varlink.service.GetInfo';
const ALLOCATE = 'io.systemd.NamespaceResource.AllocateUserRange';
const PARAMETERS = { name: 'bars', size: 1, userNamespaceFileDescriptor: 0 };

/** Sends a call as another user, without starting a process. */
function callAs(uid: number, path: string, method: string, parameters: object, fds: readonly number[]): Fd {
  const socket = unixSocket();
  process.seteuid?.(uid);
  try {
    connect(socket.number, path);
  } finally {
    process.seteuid?.(0);
  }
  sendMessage(socket.number, Buffer.from(`${JSON.stringify({ method, parameters })}\0`), { fds });
  return socket;
}

async function replyTo(socket: Fd): Promise<RawReply> {
  using _socket = socket;
  await readable(socket.number);
  const buffer = new ReceiveBuffer(65536);
  const count = buffer.receive(socket.number, []) ?? 0;
  return JSON.parse(buffer.bytes.toString('utf8', 0, count).replace(/\0.*$/s, '') || '{"error":"closed"}');
}

t.test('who made a worker hang may pass no more descriptors to any worker', needsFuse, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  using harmless = new Fd(openSync('/dev/null', 'r'));
  // A process that is started later would hang by its copies of what is mute.
  using namespace = new UserNamespace(UID);
  using fd = namespace.open();
  using mute = await MuteFuse.start(t, UID);
  const call = async (uid: number, method: string, fds: readonly number[] = []) =>
    await replyTo(callAs(uid, daemon.socketPath, method, method === ALLOCATE ? PARAMETERS : {}, fds));
  t.strictSame(await call(UID, ALLOCATE, [fd.number]), given(`${UID}-bars`));
  using registry = Registry.open(daemon.runtimeDirectory);
  const lent = registry.byInode(namespaceInode(fd.number))?.range?.start ?? UID;
  t.not(lent, UID);

  const first = callAs(UID, daemon.socketPath, ALLOCATE, PARAMETERS, [mute.fd('file')]);
  await daemon.waitForLog(new RegExp(`a descriptor of user ${UID} hangs when it is closed`));
  first.close();
  using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
  await until(() => ledger?.isBarred(UID) === true);

  // Fewer than 16 descriptors wait to be closed behind the one that hangs, should one worker get all: of more it takes nothing.
  for (let count = 0; count < 5; count++) {
    t.equal((await call(UID, ALLOCATE, [harmless.number])).error, 'org.varlink.service.PermissionDenied');
    t.equal((await call(lent, ALLOCATE, [harmless.number])).error, 'org.varlink.service.PermissionDenied');
    t.not((await call(ANOTHER, ALLOCATE, [harmless.number])).error, 'org.varlink.service.PermissionDenied');
    t.equal((await call(UID, INFO)).error, undefined, 'what needs no descriptor goes on');
  }
  t.strictSame(daemon.children(), workers, 'no worker is lost');

  daemon.kill('SIGTERM');
  t.strictSame(await daemon.exited, { code: 0, signal: null }, 'the manager does not wait for what hangs');
});
