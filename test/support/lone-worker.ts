import { bind, type ChildProcess, EPOLLIN, type Fd, listen, pollNow, spawn, unixSocket } from '@sdrx/linux';
import { ask } from './allocation.js';
import { Folder } from './folder.js';
import { programPath } from './program-path.js';
import { untilOr } from './until.js';
import { waitForExit } from './wait-for-exit.js';

const nsresourcework = programPath('../../../packages/daemon/bin/nsresourcework', import.meta.url);

// It may ask for help, which would end us, and gets none.
process.on('SIGUSR2', () => {});

/** A worker with us as its manager, on a socket of its own, so that it is known who answers. */
export class LoneWorker implements Disposable {
  readonly #folder = new Folder();
  readonly socketPath = this.#folder.join('socket');
  readonly runtimeDirectory = this.#folder.path;
  readonly child: ChildProcess;

  private constructor() {
    using socket: Fd = unixSocket();
    bind(socket.number, this.socketPath);
    listen(socket.number);
    const script = 'export LISTEN_PID=$$; exec "$@"';
    const options = [`--runtime-directory=${this.#folder.path}`, '--userns-restrict=off'];
    this.child = spawn('sh', {
      args: ['-c', script, 'sh', process.execPath, nsresourcework, ...options],
      env: { PATH: process.env.PATH, LISTEN_FDS: '1', NSRESOURCE_API: '1', NSRESOURCE_FIXED_WORKER: '1' },
      fds: [null, null, 2, socket],
    });
  }

  /** Starts one and waits until it has answered. */
  static async start(): Promise<LoneWorker> {
    const worker = new LoneWorker();
    await ask(worker, 'User', { uid: 1 });
    return worker;
  }

  /** Whether it still runs. */
  get isAlive(): boolean {
    return pollNow(this.child.pidfd.number, EPOLLIN) === 0;
  }

  /** Resolves when something about it has come to be. */
  until(condition: () => boolean, complaint: () => string): Promise<void> {
    return untilOr(60_000, condition, complaint);
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
    waitForExit(this.child);
    this.#folder[Symbol.dispose]();
  }
}
