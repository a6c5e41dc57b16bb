import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, ServerHttp2Session } from 'node:http2';
import { Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server as TlsServer } from 'node:tls';
import {
  atLoad,
  checkFunction,
  checkInstance,
  checkInteger,
  checkObject,
  describeFd,
  Fd,
  wrongKind,
} from '@sdrx/linux';
import { BehaviorSubject, type Observable } from 'rxjs';
import { checkEnding } from './check-ending.js';
import { ConnectedSocket } from './connected-socket.js';
import { LentSocket } from './lent-socket.js';
import type { Ending } from './scope.js';
import type { Serving } from './serving.js';

/** How long a connection that waits for its next request may still send it once a drain has begun, in milliseconds. */
const LAST_REQUEST = 1000;

/** A close frame of a WebSocket's server with the code 1012, which means that the service restarts. RFC 6455, 5.5.1 */
const SERVICE_RESTART = Buffer.from([0x88, 0x02, 0x03, 0xf4]);

/** Stream ids have 31 bits. RFC 9113, 6.8 */
const LAST_STREAM_ID = 2 ** 31 - 1;

/** What Node serves streams with. */
export type NodeServer = NetServer | HttpServer | TlsServer | Http2Server | Http2SecureServer;

/** What a drain tells programs that speak a protocol of their own. The same may serve for several servers. */
export interface DrainHooks {
  /**
   * Says goodbye on a connection that left HTTP by Upgrade or CONNECT, and has it end. By default a WebSocket gets a close frame
   * with the code 1012, others are only waited for.
   */
  readonly upgraded?: (socket: Duplex, request: IncomingMessage, server: NodeServer) => void;
  /** Says goodbye on a connection of a server that is none of HTTP. By default these are only waited for. */
  readonly connection?: (socket: Socket, server: NodeServer) => void;
}

/** How a server takes connections from a socket. */
export interface ServeOptions {
  /**
   * How many connections it takes at a time; those beyond wait in the socket. By default as many as come; but out of descriptors,
   * Node accepts those that wait only to close them.
   */
  readonly atMost?: number;
}

/** What a connection is doing. */
interface Served {
  /** Requests that are not answered yet. */
  readonly responses: Set<ServerResponse>;
  /** Why it is not HTTP any more. */
  upgrade: IncomingMessage | undefined;
}

/**
 * The connections of one of Node's servers: how many there are, also of those that left HTTP or begin TLS, and their orderly end.
 * To be made before the server listens.
 *
 * With `listen` it also takes them from a socket, at times: see `Serving`. A server that listens by itself is only counted and drained.
 */
export class ServedConnections implements Serving {
  readonly #server: NodeServer;
  readonly #hooks: DrainHooks;
  /** All, as Node accepted them. */
  readonly #accepted = new Set<Duplex>();
  /** Those that speak, of TLS once the handshake is done. */
  readonly #sockets = new Map<Duplex, Served>();
  readonly #sessions = new ClosingSet<ServerHttp2Session>();
  readonly #count = new BehaviorSubject(0);
  #socket: LentSocket | ConnectedSocket | undefined;
  #atMost = Number.POSITIVE_INFINITY;
  #paused = true;
  #draining = false;
  #lastRequest: NodeJS.Timeout | undefined;

  constructor(server: NodeServer, hooks: DrainHooks = {}) {
    if (!(server instanceof NetServer)) throw wrongKind('server', "a server of Node's that serves streams", server);
    checkObject('hooks', hooks);
    for (const name of ['upgraded', 'connection'] as const) {
      if (hooks[name] !== undefined) checkFunction(`hooks.${name}`, hooks[name]);
    }
    this.#server = server;
    this.#hooks = hooks;
    server.on('connection', (socket: Socket) => this.#opened(socket));
    if (isTls(server)) server.on('secureConnection', (socket: Socket) => this.#speaks(socket));
    // Before the program, which may answer at once.
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#requested(request, response),
    );
    if (isHttp1(server)) {
      this.#watchFor(server, 'upgrade');
      this.#watchFor(server, 'connect');
    }
    server.on('session', (session: ServerHttp2Session) => this.#began(session));
  }

  /** How many there are, now and at each change. */
  get count(): Observable<number> {
    return this.#count;
  }

  /**
   * Has the server take connections from a listening socket, TCP or Unix: from `resume` to `pause`, any number of times. The
   * socket stays the caller's, and is to be closed after the drain. Node gets duplicates, and sets the length of its queue to
   * 4,096; the server emits `listening` each time, and `close` at a pause that leaves no connection.
   *
   * A socket that is connected, of a socket unit with Accept=yes, is taken, and is all that is served: `count` is 1 until it
   * ends.
   * @throws TypeError for what is no such socket, EBADF; Error when the server has one already
   */
  listen(fd: Fd, options: ServeOptions = {}): this {
    checkInstance('fd', fd, Fd);
    checkObject('options', options);
    const { atMost = Number.POSITIVE_INFINITY } = options;
    if (options.atMost !== undefined) checkInteger('atMost', atMost, 1);
    const isConnected = isConnectedStream(fd);
    const socket = isConnected ? undefined : new LentSocket(this.#server, fd);
    if (this.#socket !== undefined || this.#server.listening) throw new Error('the server listens already');
    this.#socket = socket ?? new ConnectedSocket(this.#server, fd);
    this.#atMost = atMost;
    this.#changed();
    return this;
  }

  /** Whether connections wait in the socket. poll(2). @throws EBADF, and Error without `listen` */
  get waiting(): boolean {
    return this.#lentSocket.waiting;
  }

  /**
   * Accepts connections, from now on or again; none once a drain has begun.
   * @throws EMFILE, EBADF, and Error without `listen`
   */
  resume(): void {
    this.#setPaused(false);
  }

  /** Accepts no more: they wait in the socket. Those that are there go on. @throws Error without `listen` */
  pause(): void {
    this.#setPaused(true);
  }

  /**
   * Accepts no more and has all connections end: responses under way are finished and say so (Connection: close), connections that
   * wait for a request are closed a moment later, upgraded ones are told by the hook, HTTP/2 gets GOAWAY. When the signal is
   * aborted, those that are left are destroyed.
   */
  async drain(ending: Ending): Promise<void> {
    checkEnding(ending);
    const { signal } = ending;
    this.#draining = true;
    this.#lendOrNot();
    // The HTTP server's own would reset connections on which a request is on its way.
    const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(this.#server, () => resolve()));
    const destroy = () => this.#destroyAll();
    if (signal.aborted) destroy();
    else signal.addEventListener('abort', destroy, { once: true });
    for (const session of this.#sessions.members) session.goaway(0, LAST_STREAM_ID);
    for (const [socket, served] of this.#sockets) this.#sayGoodbye(socket, served);
    this.#endSoon();
    await closed;
    await this.#allGone();
    atLoad.clearTimeout(this.#lastRequest);
    signal.removeEventListener('abort', destroy);
  }

  get #isHttp(): boolean {
    return isHttp1(this.#server) || isHttp2(this.#server);
  }

  /** Only if the program does: a listener of ours would have Node take each request with an Upgrade for one that is answered. */
  #watchFor(server: HttpServer, event: 'upgrade' | 'connect'): void {
    const watch = () => server.on(event, (request, socket) => this.#upgraded(request, socket));
    if (server.listenerCount(event) > 0) {
      watch();
      return;
    }
    const added = (name: string | symbol) => {
      if (name !== event) return;
      server.off('newListener', added);
      watch();
    };
    server.on('newListener', added);
  }

  get #lentSocket(): LentSocket | ConnectedSocket {
    if (this.#socket === undefined) throw new Error("the server's socket is its own: give one to `listen`");
    return this.#socket;
  }

  #setPaused(paused: boolean): void {
    const socket = this.#lentSocket;
    this.#paused = paused;
    this.#lendOrNot(socket);
  }

  #lendOrNot(socket = this.#socket): void {
    // Accepted work is done also if the end begins before it.
    if (socket instanceof ConnectedSocket && this.#draining) socket.lend();
    else if (this.#paused || this.#draining || this.#accepted.size >= this.#atMost) socket?.takeBack();
    else socket?.lend();
  }

  #opened(socket: Duplex): void {
    this.#accepted.add(socket);
    socket.once('close', () => {
      this.#accepted.delete(socket);
      this.#changed();
    });
    if (!isTls(this.#server)) this.#speaks(socket);
    this.#changed();
  }

  #changed(): void {
    const isLeft = this.#socket instanceof ConnectedSocket && this.#socket.isLeft;
    this.#count.next(this.#accepted.size + (isLeft ? 1 : 0));
    this.#lendOrNot();
  }

  #speaks(socket: Duplex): void {
    const served: Served = { responses: new Set(), upgrade: undefined };
    this.#sockets.set(socket, served);
    socket.once('close', () => this.#sockets.delete(socket));
    if (!this.#draining) return;
    this.#sayGoodbye(socket, served);
    this.#endSoon();
  }

  #began(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    if (!this.#draining) return;
    session.goaway(0, LAST_STREAM_ID);
    this.#endSoon();
  }

  /** Ends what waits for a request then; what came in the last moment has as long from now on. */
  #endSoon(): void {
    atLoad.clearTimeout(this.#lastRequest);
    this.#lastRequest = atLoad.setTimeout(() => {
      for (const session of this.#sessions.members) session.close();
      for (const [socket, served] of this.#sockets) this.#endIfIdle(socket, served);
    }, LAST_REQUEST);
  }

  #requested({ socket }: IncomingMessage, response: ServerResponse): void {
    const served = this.#sockets.get(socket);
    // A stream of HTTP/2 has its session.
    if (served === undefined) return;
    served.responses.add(response);
    if (this.#draining) sayLast(response);
    response.once('close', () => {
      served.responses.delete(response);
      if (this.#draining) this.#endIfIdle(socket, served);
    });
  }

  #upgraded(request: IncomingMessage, socket: Duplex): void {
    const served = this.#sockets.get(socket);
    if (served === undefined) return;
    served.upgrade = request;
    if (this.#draining) this.#sayGoodbye(socket, served);
  }

  #sayGoodbye(socket: Duplex, { responses, upgrade }: Served): void {
    for (const response of responses) sayLast(response);
    if (upgrade !== undefined) (this.#hooks.upgraded ?? sayServiceRestart)(socket, upgrade, this.#server);
    else if (!this.#isHttp) this.#hooks.connection?.(socket as Socket, this.#server);
  }

  /** Ends one that waits for a request. */
  #endIfIdle(socket: Duplex, { responses, upgrade }: Served): void {
    if (isHttp1(this.#server) && responses.size === 0 && upgrade === undefined) socket.end();
  }

  #destroyAll(): void {
    for (const session of this.#sessions.members) session.destroy();
    for (const socket of [...this.#sockets.keys(), ...this.#accepted]) socket.destroy();
  }

  /** Node does not count connections that were upgraded among a server's. */
  #allGone(): Promise<void> {
    return new Promise((resolve) => {
      const subscription = this.#count.subscribe((count) => {
        if (count > 0) return;
        resolve();
        queueMicrotask(() => subscription.unsubscribe());
      });
    });
  }
}

/** What is there until it emits `close`. */
class ClosingSet<T extends { once(event: 'close', listener: () => void): unknown }> {
  readonly members = new Set<T>();

  add(member: T): void {
    this.members.add(member);
    member.once('close', () => this.members.delete(member));
  }
}

/** Where the header is sent already, the connection is ended after the response all the same. */
function sayLast(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

function sayServiceRestart(socket: Duplex, { headers }: IncomingMessage): void {
  if (headers.upgrade?.toLowerCase() === 'websocket') socket.write(SERVICE_RESTART);
}

function isConnectedStream({ number }: Fd): boolean {
  const found = describeFd(number);
  return found.kind === 'socket' && found.type === 'stream' && found.peer !== undefined;
}

// Told by what they have: to load Node's modules of HTTP and TLS takes a service long that speaks neither.

function isHttp1(server: NodeServer): server is HttpServer {
  return 'maxHeadersCount' in server;
}

function isHttp2(server: NodeServer): boolean {
  return 'updateSettings' in server;
}

function isTls(server: NodeServer): boolean {
  return 'setSecureContext' in server;
}
