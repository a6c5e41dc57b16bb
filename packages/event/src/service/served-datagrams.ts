import type { Socket } from 'node:dgram';
import type { LookupOneOptions } from 'node:dns';
import { isIP } from 'node:net';
import {
  checkArray,
  checkChoice,
  checkFunction,
  checkInstance,
  checkMethods,
  describeFd,
  duplicate,
  Fd,
  isReadable,
} from '@sdrx/linux';
import { filter, firstValueFrom, fromEvent, merge, type Observable } from 'rxjs';
import { checkEnding } from './check-ending.js';
import type { Ending } from './scope.js';
import type { Serving } from './serving.js';
import { sumOf } from './sum-of.js';

/** The versions of UDP, by Node's names. */
export type DatagramType = 'udp4' | 'udp6';

const FAMILIES: Readonly<Record<DatagramType, string>> = { udp4: 'inet', udp6: 'inet6' };

/**
 * Datagrams that one of Node's sockets takes from a socket of UDP that is bound: from `resume` to `pause`, any number of times. The
 * socket stays the caller's. Node gets a duplicate each time, in a new socket of its own, which `attach` puts listeners on; at a pause
 * it is closed. What was sent by it in a handler has gone out by then. What is answered later, beyond a pause, is not to be
 * sent by it any more.
 */
export class ServedDatagrams implements Serving {
  /** A datagram goes to whichever process reads first. */
  readonly exclusive = true;
  /** What is under way, by the counts given; without them always 0. */
  readonly count: Observable<number>;
  readonly #fd: Fd;
  readonly #type: DatagramType;
  readonly #attach: (socket: Socket) => void;
  #socket: Socket | undefined;
  #draining = false;

  /**
   * @param attach puts its listeners on each new socket, before anything comes
   * @param counts of what is under way because of what came, each the present number and every later one
   * @throws TypeError for a socket of another kind, EBADF
   */
  constructor(
    fd: Fd,
    type: DatagramType,
    attach: (socket: Socket) => void,
    counts: readonly Observable<number>[] = [],
  ) {
    checkInstance('fd', fd, Fd);
    checkChoice('type', type, Object.keys(FAMILIES));
    checkFunction('attach', attach);
    checkArray('counts', counts, (name, count) => checkMethods(name, count, 'an Observable', 'subscribe'));
    checkSocket(fd, type);
    this.#fd = fd;
    this.#type = type;
    this.#attach = attach;
    this.count = sumOf(counts);
  }

  /** Whether datagrams wait in the socket. poll(2). @throws EBADF */
  get waiting(): boolean {
    return isReadable(this.#fd.number);
  }

  /**
   * Takes datagrams, from now on or again; none once a drain has begun.
   * @throws EMFILE, EBADF, and what `attach` throws
   */
  resume(): void {
    if (this.#socket !== undefined || this.#draining) return;
    // Loaded only here: services without it begin sooner.
    const { createSocket } = process.getBuiltinModule('node:dgram');
    const copy = duplicate(this.#fd.number);
    const socket = createSocket({ type: this.#type, lookup: lookUpAtOnce });
    try {
      this.#attach(socket);
      // Otherwise Node's cluster takes the number for one of its first process.
      socket.bind({ fd: copy.number, exclusive: true });
    } catch (error) {
      socket.close();
      copy.close();
      throw error;
    }
    copy.take();
    this.#socket = socket;
  }

  /** Takes no more: they wait in the socket. */
  pause(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Takes no more, and waits until nothing is under way, by the counts, or the signal is aborted. */
  async drain(ending: Ending): Promise<void> {
    checkEnding(ending);
    this.#draining = true;
    this.pause();
    if (ending.signal.aborted) return;
    const done = this.count.pipe(filter((count) => count === 0));
    await firstValueFrom(merge(done, fromEvent(ending.signal, 'abort')));
  }
}

function checkSocket(fd: Fd, type: DatagramType): void {
  const found = describeFd(fd.number);
  const isDatagram = found.kind === 'socket' && found.type === 'datagram';
  if (isDatagram && found.family === FAMILIES[type]) return;
  if (isDatagram && found.family === 'unix') {
    throw new TypeError(
      '`fd` is a Unix socket, which Node has no datagrams of: use `loop.io` and ReceiveBuffer of @sdrx/linux',
    );
  }
  throw new TypeError(`\`fd\` must be a socket of ${type}`);
}

type Resolved = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

/** As Node's own, but an address is known at once and not a turn later, so that a pause may follow the sending. */
function lookUpAtOnce(host: string, options: LookupOneOptions, callback: Resolved): void {
  const family = isIP(host);
  if (family === 0) process.getBuiltinModule('node:dns').lookup(host, options, callback);
  else callback(null, host, family);
}
