import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect as connectStream } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventLoop } from '@sdrx/event';
import { bind, connect, EPOLLIN, Fd, isSystemError, listen, ReceiveBuffer, sendMessage, unixSocket } from '@sdrx/linux';
import {
  connect as connectClient,
  type Implementation,
  type ServeOptions,
  type ServerEvent,
  serve,
  service,
  type VarlinkClient,
} from '@sdrx/varlink';
import type { Observable, Subscription } from 'rxjs';

/** How long a condition may take to come true, in milliseconds. */
const PATIENCE = 20_000;

export const info = { vendor: 'sdrx', product: 'test', version: '1', url: 'https://example.org/' };

/** How many descriptors this process has open. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Resolves once `condition` holds; looks again in every turn of Node's loop. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await turn();
  }
}

/** Lets Node's loop turn once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A socket's other end that speaks no protocol: it sends bytes and shows what comes back. */
export class RawClient implements Disposable {
  /** The messages that came, each without its NUL. */
  readonly messages: string[] = [];
  readonly fds: Fd[] = [];
  closed = false;
  readonly #socket = unixSocket();
  readonly #buffer = new ReceiveBuffer(65536);
  #rest = '';
  #subscription: Subscription | undefined;

  constructor(
    readonly loop: EventLoop,
    path: string,
  ) {
    connect(this.#socket.number, path);
    this.read();
  }

  read(): void {
    this.#subscription = this.loop.io(this.#socket.number, { events: EPOLLIN }).subscribe(() => this.#receive());
  }

  get fd(): number {
    return this.#socket.number;
  }

  /** Leaves what comes in the socket. */
  stopReading(): void {
    this.#subscription?.unsubscribe();
  }

  /** Takes a little of what waits in the socket. @returns how many bytes */
  receiveSome(): number {
    return new ReceiveBuffer(4096).receive(this.#socket.number, []) ?? 0;
  }

  /** @returns how many bytes the socket took */
  sendBytes(bytes: Uint8Array, fds: readonly number[] = []): number {
    return sendMessage(this.#socket.number, bytes, { fds }) ?? 0;
  }

  /** Sends all of it, with a NUL after each. */
  send(...messages: readonly unknown[]): void {
    this.sendBytes(frame(...messages));
  }

  /** Sends one message with descriptors. */
  sendWith(fds: readonly number[], message: unknown): void {
    this.sendBytes(frame(message), fds);
  }

  /** The first `count` messages, parsed, once they came; fewer if the connection ends before. */
  async replies(count: number): Promise<unknown[]> {
    await until(`${count} replies, got ${this.messages.length}`, () => this.messages.length >= count || this.closed);
    return this.messages.splice(0, count).map((text) => JSON.parse(text));
  }

  async end(): Promise<void> {
    await until('the end of the connection', () => this.closed);
  }

  [Symbol.dispose](): void {
    this.#subscription?.unsubscribe();
    this.#socket.close();
    for (const fd of this.fds) fd.close();
  }

  #receive(): void {
    const fds: number[] = [];
    let count: number | undefined;
    try {
      count = this.#buffer.receive(this.#socket.number, fds);
    } catch (error) {
      if (!isSystemError(error, 'ECONNRESET')) throw error;
      count = 0;
    }
    this.fds.push(...fds.map((fd) => new Fd(fd)));
    if (count === 0) {
      this.closed = true;
      this.#subscription?.unsubscribe();
    }
    const parts = (this.#rest + this.#buffer.bytes.toString('latin1', 0, count ?? 0)).split('\0');
    this.#rest = parts.pop() ?? '';
    this.messages.push(...parts.map((part) => Buffer.from(part, 'latin1').toString()));
  }
}

/** Messages as bytes, each with its NUL; what is no string is sent as JSON. */
export function frame(...messages: readonly unknown[]): Buffer {
  return Buffer.from(
    messages.map((message) => `${typeof message === 'string' ? message : JSON.stringify(message)}\0`).join(''),
  );
}

/** The reply of a server for a system call that failed, or a limit that is given as one. */
export function systemError(errno: number, errnoName: string): object {
  return { error: 'io.systemd.System', parameters: { origin: 'linux', errnoName, errno } };
}

export interface FixtureOptions extends ServeOptions {
  /** Where the socket's folder is made. */
  readonly below?: string;
}

/** A server on a loop that runs, and what is needed to speak to it. */
export class Fixture implements AsyncDisposable {
  readonly loop = new EventLoop();
  readonly folder: string;
  readonly path: string;
  readonly events: ServerEvent[] = [];
  readonly subscription: Subscription;
  completed = false;
  readonly #listener = unixSocket();
  readonly #finished: Promise<number>;
  readonly #own: Disposable[] = [];

  constructor(implementations: readonly Implementation[], { below = tmpdir(), ...options }: FixtureOptions = {}) {
    this.folder = mkdtempSync(join(below, 'sdrx-varlink-'));
    this.path = join(this.folder, 'socket');
    bind(this.#listener.number, this.path);
    // For clients that are other users.
    chmodSync(this.folder, 0o755);
    chmodSync(this.path, 0o666);
    listen(this.#listener.number);
    this.#finished = this.loop.run();
    this.subscription = serve(this.loop, service(info, ...implementations), this.#listener.number, options).subscribe({
      next: (event) => this.events.push(event),
      complete: () => {
        this.completed = true;
      },
    });
  }

  get listenFd(): number {
    return this.#listener.number;
  }

  /** Another server on the same socket, not begun yet. */
  again(options: ServeOptions): Observable<ServerEvent> {
    return serve(this.loop, service(info), this.listenFd, options);
  }

  raw(): RawClient {
    const client = new RawClient(this.loop, this.path);
    this.#own.push(client);
    return client;
  }

  client(): VarlinkClient {
    const client = connectClient(this.loop, this.path);
    this.#own.push(client);
    return client;
  }

  /** The errors that handlers threw and that are no answers. */
  get failures(): unknown[] {
    return this.events.flatMap((event) => (event.type === 'failed' ? [event.error] : []));
  }

  /** What clients were refused. */
  get refusals(): (ServerEvent & { type: 'refused' })[] {
    return this.events.filter((event) => event.type === 'refused');
  }

  /** How many connections the server accepted. */
  get accepted(): number {
    return this.events.reduce((sum, event) => (event.type === 'accepted' ? sum + event.count : sum), 0);
  }

  /** How many connections the server has, as it told last. */
  get connections(): number | undefined {
    return this.events.findLast((event) => event.type === 'worked')?.connections;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const own of this.#own) own[Symbol.dispose]();
    this.subscription.unsubscribe();
    this.loop.exit();
    await this.#finished;
    this.#listener.close();
    rmSync(this.folder, { recursive: true });
  }
}

/** Runs `test` with a fixture, and fails if a descriptor is left open by it. */
export async function withServer(
  implementations: readonly Implementation[],
  test: (fixture: Fixture) => Promise<void>,
  options?: FixtureOptions,
): Promise<void> {
  await warmUp();
  const before = openFds();
  const fixture = new Fixture(implementations, options);
  try {
    await test(fixture);
  } finally {
    await fixture[Symbol.asyncDispose]();
  }
  await until(`${before} open descriptors, now ${openFds()}`, () => openFds() === before);
}

let warm: Promise<unknown> | undefined;

/** The first loop and the first stream open descriptors that Node keeps for the whole process. */
function warmUp(): Promise<unknown> {
  warm ??= (async () => {
    const loop = new EventLoop();
    loop.defer().subscribe(() => loop.exit());
    await loop.run();
    await new Promise((resolve) => connectStream('/nonexistent').on('error', resolve));
  })();
  return warm;
}
