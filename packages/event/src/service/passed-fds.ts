import { checkFunction, checkText, describeFd, type Fd, type FdDescription } from '@sdrx/linux';
import { type ListenFdsOptions, type PassedFd, takeFds } from './listen-fds.js';

/**
 * The descriptors that were passed to this process, which are taken by name, by order or by kind, each once. Whoever takes one
 * closes it; what nobody took is closed with this object. Names may be there several times, or be empty.
 */
export class PassedFds implements Disposable {
  readonly #left: PassedFd[];
  /** The names of all that were passed, in their order. */
  readonly all: readonly string[];
  /** Whether a service manager has said what it passes to this process, even if that is nothing: LISTEN_FDS=0. */
  readonly activated: boolean;

  /**
   * Takes them over, close-on-exec and sockets non-blocking, and removes the variables from the environment. sd_listen_fds(3).
   * @throws ListenFdsError, as `listenFds`
   */
  constructor(environment: NodeJS.ProcessEnv = process.env, options: ListenFdsOptions = {}) {
    const passed = takeFds(environment, options);
    this.activated = passed !== undefined;
    this.#left = passed ?? [];
    this.all = this.names;
  }

  /** The names of those that nobody has taken, in their order. */
  get names(): string[] {
    return this.#left.map(({ name }) => name);
  }

  /** Takes the first one of a name. @returns undefined if there is none, or none any more */
  take(name: string): Fd | undefined {
    checkText('name', name);
    return this.#take((passed) => passed.name === name)?.fd;
  }

  /** Takes the next one, whatever its name. */
  takeNext(): PassedFd | undefined {
    return this.#take(() => true);
  }

  /** Takes the next one that is of a kind; see `describeFd`. */
  takeKind(isWanted: (description: FdDescription) => boolean): PassedFd | undefined {
    checkFunction('isWanted', isWanted);
    return this.#take(({ fd }) => isWanted(describeFd(fd.number)));
  }

  /** Closes those that nobody has taken. */
  [Symbol.dispose](): void {
    for (const { fd } of this.#left.splice(0)) fd.close();
  }

  #take(isWanted: (passed: PassedFd) => boolean): PassedFd | undefined {
    const index = this.#left.findIndex(isWanted);
    return index === -1 ? undefined : this.#left.splice(index, 1)[0];
  }
}
