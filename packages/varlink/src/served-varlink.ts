import type { Ending, EventLoop, Serving } from '@sdrx/event';
import { atLoad, checkChoice, checkObject, describeFd, Fd, isReadable, wrongKind } from '@sdrx/linux';
import { BehaviorSubject, type Observable, Subject } from 'rxjs';
import { requireFd, requireFdObject } from './arguments.js';
import { serveLimits } from './limits.js';
import { requireServeOptions, requireService } from './serve-arguments.js';
import type { ServeOptions } from './serve-options.js';
import { Server, type ServerOwner } from './server.js';
import type { ServerEvent } from './server-event.js';
import type { Service } from './service.js';

/** How `ServedVarlink` serves. */
export interface ServedVarlinkOptions extends Omit<ServeOptions, 'drain'> {
  /**
   * What is counted: by default connections, as a client that keeps one may call at any moment, and would lose that call if the
   * service left. `calls` is for services whose clients keep connections they do not use, and connect again when they are closed.
   */
  readonly counts?: 'connections' | 'calls';
}

/**
 * Serves Varlink on one socket, as idle exit, graceful restart and an orderly end want it. The socket may be one that listens, or,
 * of a socket unit with Accept=yes and of `varlinkctl call ./program`, one that is connected: then its connection is served, and all
 * has ended when that ends.
 *
 * Other than `serve` it can pause. systemd.socket(5), varlink.org/Method-Call
 */
export class ServedVarlink implements Serving, Disposable {
  readonly #events = new Subject<ServerEvent>();
  readonly #count: BehaviorSubject<number>;
  /** −1 for a socket that is connected. */
  readonly #listenFd: number;
  /** The socket that is connected, until it is served. */
  #connected: Fd | undefined;
  readonly #begin: () => Server;
  #server: Server | undefined;
  #draining = false;
  #ended = false;

  /**
   * @param socket a Unix stream socket. One that listens stays the caller's, one that is connected is taken: it is work that has
   * been accepted already
   * @throws TypeError or RangeError for a wrong argument, by its name, also for another kind of socket, which then stays the
   * caller's
   */
  constructor(loop: EventLoop, service: Service, socket: Fd, options: ServedVarlinkOptions = {}) {
    requireService(loop, service);
    requireFdObject(socket, 'socket');
    requireFd(socket.number, 'socket.number');
    requireServeOptions(options);
    const { counts = 'connections', ...serveOptions } = options;
    checkChoice('counts', counts, ['connections', 'calls']);
    const limits = serveLimits(options.limits);
    this.#connected = isConnected(socket) ? new Fd(socket.take()) : undefined;
    const listenFd = socket.number;
    this.#listenFd = listenFd;
    this.#count = new BehaviorSubject(this.#connected === undefined ? 0 : 1);
    const countsCalls = counts === 'calls' && this.#connected === undefined;
    this.#begin = () => {
      const owner = this.#owner(countsCalls);
      const count = countsCalls ? undefined : () => this.#tell();
      const server = new Server(loop, service, listenFd, serveOptions, limits, owner, count);
      try {
        server.start();
      } catch (error) {
        server[Symbol.dispose]();
        throw error;
      }
      return server;
    };
  }

  /** How many connections there are, or calls under way; completes when there will be none any more. */
  get count(): Observable<number> {
    return this.#count;
  }

  /** What there is to tell; completes at the end. An error of the socket that nobody listens to here surfaces as uncaught. */
  get events(): Observable<ServerEvent> {
    return this.#events;
  }

  /**
   * Whether connections wait to be accepted; of a socket that is connected, never.
   * @throws EBADF if it was closed before its end
   */
  get waiting(): boolean {
    if (this.#listenFd < 0 || this.#ended) return false;
    return isReadable(this.#listenFd);
  }

  /**
   * Accepts connections, or begins to serve the one that there is.
   * @throws Error once it drains or was disposed of; EMFILE, ENOMEM
   */
  resume(): void {
    if (this.#ended || this.#draining) throw new Error('a socket that is drained is not served again');
    this.#server ??= this.#begin();
    const connected = this.#connected;
    this.#connected = undefined;
    if (connected === undefined) this.#server.resume();
    else this.#server.serveOnly(connected);
  }

  /** Accepts no more; connections that there are go on. */
  pause(): void {
    this.#server?.pause();
  }

  /**
   * Accepts no more, answers the calls that are under way or have arrived completely, and closes each connection that has none. When
   * the signal is aborted, those that are left are closed. A call with `more` that never ends is waited for until then.
   */
  async drain(ending: Ending): Promise<void> {
    checkObject('ending', ending);
    const { signal } = ending;
    if (!(signal instanceof AbortSignal)) throw wrongKind('ending.signal', 'an AbortSignal', signal);
    if (this.#connected !== undefined && !signal.aborted) this.resume();
    this.#draining = true;
    if (signal.aborted || this.#server === undefined) this.#end();
    if (this.#ended) return;
    const ended = new Promise<void>((resolve) => {
      this.#count.subscribe({ complete: resolve });
    });
    const breakOff = () => this.#end();
    signal.addEventListener('abort', breakOff, { once: true });
    this.#server?.drain();
    await ended;
    signal.removeEventListener('abort', breakOff);
  }

  /** Closes all connections at once. */
  [Symbol.dispose](): void {
    this.#end();
  }

  #owner(countsCalls: boolean): ServerOwner {
    const isEnded = () => this.#ended;
    return {
      get closed() {
        return isEnded();
      },
      next: (event) => {
        if (countsCalls && event.type === 'worked') this.#tellCalls(event.calls, event.unanswered);
        this.#events.next(event);
      },
      error: (error) => this.#end(() => this.#fail(error)),
      complete: () => this.#end(),
    };
  }

  #tell(): void {
    const count = this.#server?.connections ?? 0;
    if (count !== this.#count.value) this.#count.next(count);
  }

  /** Those that came and were answered in one turn were under way, too. */
  #tellCalls(came: number, unanswered: number): void {
    if (came > unanswered) this.#count.next(came);
    if (unanswered !== this.#count.value) this.#count.next(unanswered);
  }

  /** @param tell ends the events, which by default just complete */
  #end(tell = () => this.#events.complete()): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connected?.close();
    this.#server?.[Symbol.dispose]();
    if (this.#count.value > 0) this.#count.next(0);
    tell();
    this.#count.complete();
  }

  #fail(error: unknown): void {
    if (this.#events.observed) {
      this.#events.error(error);
      return;
    }
    atLoad.nextTick(() => {
      throw error;
    });
  }
}

/** @throws TypeError for what is neither a listening nor a connected Unix stream socket; EBADF */
function isConnected({ number }: Fd): boolean {
  const found = describeFd(number);
  if (found.kind === 'socket' && found.family === 'unix' && found.type === 'stream') {
    if (found.listening) return false;
    if (found.peer !== undefined) return true;
  }
  const is = found.kind === 'socket' ? `a ${found.family} ${found.type} socket, not connected` : `a ${found.kind}`;
  throw new TypeError(`\`socket\` must be a Unix stream socket that listens or is connected, it is ${is}`);
}
