import {
  type ChildProcess,
  type Fd,
  isSystemError,
  sendMessage,
  setNonBlocking,
  socketPair,
  spawn,
  WEXITED,
  waitPidfd,
} from '@sdrx/linux';
import { ORDERS_OPTION, UMASK, workerCommandOf } from './worker-command.js';

/**
 * A worker that is begun before it is known what it is to do. Most of a start is Node's own, the manager's as well as the worker's, and
 * so both go on at a time. By `start` it is told what others are told by their arguments, their environment and descriptor 3; see
 * `takeOrders`. It ends with this object, or this process, if it was told nothing.
 */
export class EarlyWorker implements Disposable {
  readonly #command: readonly string[];
  readonly #socket: Fd;
  #process: ChildProcess | undefined;

  private constructor(command: readonly string[], socket: Fd, process: ChildProcess) {
    this.#command = command;
    this.#socket = socket;
    this.#process = process;
  }

  /** @returns undefined if no process can be started now: nothing is lost but time */
  static begin(script: string): EarlyWorker | undefined {
    const [program, ...args] = workerCommandOf(script);
    try {
      const [ours, theirs] = socketPair();
      using inherited = theirs;
      try {
        setNonBlocking(inherited.number, false);
        const process = spawn(program, {
          args: [...args, ORDERS_OPTION],
          // The third one keeps its number free for the socket.
          fds: [0, 1, 2, null, inherited],
          umask: UMASK,
          parentDeathSignal: 'SIGTERM',
        });
        return new EarlyWorker([program, ...args], ours, process);
      } catch (error) {
        ours.close();
        throw error;
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return undefined;
    }
  }

  /**
   * Has it do what a worker does that is started by this command.
   * @param listenFd what it is to have as descriptor 3
   * @param env all of it, but for LISTEN_PID
   * @returns undefined if it does something else already, or has ended, or if it is another program that is wanted
   */
  start(command: readonly string[], listenFd: number, env: NodeJS.ProcessEnv): ChildProcess | undefined {
    const process = this.#process;
    const isSame = this.#command.every((word, index) => word === command[index]);
    if (process === undefined || !isSame) return undefined;
    const orders = { args: command.slice(this.#command.length), env };
    const text = Buffer.from(`${JSON.stringify(orders)}\0`);
    try {
      // One that gets a part only ends when the socket is closed.
      if (sendMessage(this.#socket.number, text, { fds: [listenFd] }) !== text.length) return undefined;
      this.#process = undefined;
      return process;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return undefined;
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Ends one that was told nothing. That is waited for, or it would be left until another worker ends: a moment, as it has done nothing. */
  [Symbol.dispose](): void {
    this.#socket.close();
    using process = this.#process;
    this.#process = undefined;
    if (process?.kill('SIGKILL') === true) waitPidfd(process.pidfd.number, WEXITED);
  }
}
