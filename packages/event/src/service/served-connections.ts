import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, ServerHttp2Session } from 'node:http2';
import { Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer } from 'node:tls';
import { atLoad, checkFunction, checkObject, wrongKind } from '@sdrx/linux';
import { BehaviorSubject, type Observable } from 'rxjs';
import type { Ending } from './scope.js';

/** How long a connection that waits for its next request may still send it once a drain has begun, in milliseconds. */
const LAST_REQUEST = 100;

/** A close frame of a WebSocket's server with the code 1012, which means that the service restarts. RFC 6455, 5.5.1 */
const SERVICE_RESTART = Buffer.from([0x88, 0x02, 0x03, 0xf4]);

/** Stream ids have 31 bits. RFC 9113, 6.8 */
const LAST_STREAM_ID = 2 ** 31 - 1;

/** What Node serves streams with. */
export type NodeServer = NetServer | HttpServer | TlsServer | Http2Server | Http2SecureServer;

/** What a drain tells programs that speak a protocol of their own. */
export interface DrainHooks {
  /**
   * Says goodbye on a connection that left HTTP by Upgrade or CONNECT, and has it end. By default a WebSocket gets a close frame
   * with the code 1012, others are only waited for.
   */
  readonly upgraded?: (socket: Duplex, request: IncomingMessage) => void;
  /** Says goodbye on a connection of a server that is none of HTTP. By default these are only waited for. */
  readonly connection?: (socket: Socket) => void;
}

/** What a connection is doing. */
interface Served {
  /** Requests that are not answered yet. */
  readonly responses: Set<ServerResponse>;
  /** Why it is not HTTP any more. */
  upgrade: IncomingMessage | undefined;
}

/**
 * The connections of one of Node's servers: how many there are, also of those that left HTTP, and their orderly end.
 * To be made before the server listens.
 */
export class ServedConnections {
  readonly #server: NodeServer;
  readonly #hooks: DrainHooks;
  readonly #sockets = new Map<Duplex, Served>();
  readonly #sessions = new ClosingSet<ServerHttp2Session>();
  /** Connections of TLS, under those that speak once the handshake is done. */
  readonly #handshakes = new ClosingSet<Socket>();
  readonly #count = new BehaviorSubject(0);
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
    if (server instanceof TlsServer) {
      server.on('connection', (socket: Socket) => this.#handshakes.add(socket));
      server.on('secureConnection', (socket: Socket) => this.#opened(socket));
    } else {
      server.on('connection', (socket: Socket) => this.#opened(socket));
    }
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#requested(request, response));
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
   * Accepts no more and has all connections end: responses under way are finished and say so (Connection: close), connections that
   * wait for a request are closed a moment later, upgraded ones are told by the hook, HTTP/2 gets GOAWAY. When the signal is
   * aborted, those that are left are destroyed.
   */
  async drain(ending: Ending): Promise<void> {
    checkObject('ending', ending);
    const { signal } = ending;
    if (!(signal instanceof AbortSignal)) throw wrongKind('ending.signal', 'an AbortSignal', signal);
    this.#draining = true;
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

  #opened(socket: Duplex): void {
    const served: Served = { responses: new Set(), upgrade: undefined };
    this.#sockets.set(socket, served);
    this.#count.next(this.#sockets.size);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#count.next(this.#sockets.size);
    });
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
    if (upgrade !== undefined) (this.#hooks.upgraded ?? sayServiceRestart)(socket, upgrade);
    else if (!this.#isHttp) this.#hooks.connection?.(socket as Socket);
  }

  /** Ends one that waits for a request. */
  #endIfIdle(socket: Duplex, { responses, upgrade }: Served): void {
    if (isHttp1(this.#server) && responses.size === 0 && upgrade === undefined) socket.end();
  }

  #destroyAll(): void {
    for (const session of this.#sessions.members) session.destroy();
    for (const socket of [...this.#sockets.keys(), ...this.#handshakes.members]) socket.destroy();
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

function isHttp1(server: NodeServer): server is HttpServer {
  return server instanceof HttpServer || 'maxHeadersCount' in server;
}

function isHttp2(server: NodeServer): boolean {
  return 'updateSettings' in server;
}
