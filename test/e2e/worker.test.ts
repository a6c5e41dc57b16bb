import { namespaceResource } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { bind, type ChildProcess, connect, listen, spawn, unixSocket } from '@sdrx/linux';
import { connect as connectClient, varlinkService } from '@sdrx/varlink';
import t, { type Test } from 'tap';
import { ask, mapOf } from '../support/allocation.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { ReceivedSignals } from '../support/received-signals.js';
import { UserNamespace } from '../support/user-namespace.js';
import { waitForExit } from '../support/wait-for-exit.js';

const SIGUSR2 = 12;
/** More than a worker accepts at once. */
const CROWD = 100;

const nsresourcework = programPath('../../../packages/daemon/bin/nsresourcework', import.meta.url);

/** A worker with us as its manager, on a socket of its own. */
class Worker implements Disposable {
  readonly #folder = new Folder();
  readonly socketPath = this.#folder.join('socket');
  readonly child: ChildProcess;

  constructor() {
    using socket = unixSocket();
    bind(socket.number, this.socketPath);
    listen(socket.number);
    const script = 'export LISTEN_PID=$$; exec "$@"';
    const options = [`--runtime-directory=${this.#folder.path}`, '--userns-restrict=off'];
    this.child = spawn('sh', {
      args: ['-c', script, 'sh', process.execPath, nsresourcework, ...options],
      env: { PATH: process.env.PATH, LISTEN_FDS: '1', NSRESOURCE_API: '1', NSRESOURCE_FIXED_WORKER: '0' },
      fds: [null, null, 2, socket],
    });
  }

  /** Waits until it has answered. */
  async started(): Promise<void> {
    await ask(this, 'User', { uid: 1 });
  }

  [Symbol.dispose](): void {
    if (this.child.pidfd.number !== -1) {
      this.child.kill('SIGKILL');
      waitForExit(this.child);
    }
    this.#folder[Symbol.dispose]();
  }
}

/** Connections that are closed with the test. */
function crowd(t: Test, worker: Worker, size: number): void {
  const sockets = Array.from({ length: size }, () => unixSocket());
  t.teardown(() => {
    for (const socket of sockets) socket.close();
  });
  for (const socket of sockets) connect(socket.number, worker.socketPath);
}

t.test('a worker that can not keep up with a crowd asks its manager for help', needsRoot, async (t) => {
  using signals = new ReceivedSignals(SIGUSR2);
  using worker = new Worker();
  await worker.started();
  // So that all of them wait when it goes on.
  worker.child.kill('SIGSTOP');
  crowd(t, worker, CROWD);
  worker.child.kill('SIGCONT');
  const [signal] = await signals.take(1);
  t.equal(signal?.pid, worker.child.pid);
});

t.test('clients who come one after the other are no reason to ask for help', needsRoot, async (t) => {
  using signals = new ReceivedSignals(SIGUSR2);
  using worker = new Worker();
  await worker.started();
  for (let client = 0; client < CROWD; client++) await ask(worker, 'User', { uid: 1 });
  t.strictSame(signals.read(), []);
});

t.test('a worker that is told to end answers the call that has come, and ends with success', needsRoot, async (t) => {
  using worker = new Worker();
  await worker.started();
  using namespace = new UserNamespace();
  using fd = namespace.open();
  using loop = new EventLoop();
  const running = loop.run();
  using client = connectClient(loop, worker.socketPath);
  await client.call(varlinkService.methods.GetInfo, {});
  // So that it has both, the call and the signal, when it goes on.
  worker.child.kill('SIGSTOP');
  const parameters = { name: 'last', size: 1, userNamespaceFileDescriptor: 0 };
  const answer = client.call(namespaceResource.methods.AllocateUserRange, parameters, { fds: [fd.number] });
  worker.child.kill('SIGTERM');
  worker.child.kill('SIGCONT');
  t.strictSame((await answer).parameters, { name: 'last' });
  t.match(mapOf(namespace), /^0 \d+ 1$/);
  t.strictSame(waitForExit(worker.child), { pid: worker.child.pid, code: 'exited', status: 0 });
  loop.exit();
  await running;
});
