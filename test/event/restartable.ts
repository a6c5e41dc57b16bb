import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { untilOr } from '../support/until.js';
import type { Life } from './programs/restartable.js';
import { plainEnvironment } from './run-node.js';

/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;

/** What a process of the service has said. */
export interface Said {
  readonly pid: number;
  readonly what: string;
  readonly [more: string]: unknown;
}

export interface StartOptions {
  readonly program?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A command that runs the command given to it, with its arguments. */
  readonly wrapper?: readonly string[];
  /** Options of Node. */
  readonly node?: readonly string[];
  /** Descriptors from 3 on. */
  readonly fds?: readonly number[];
}

/** A service that restarts, all its processes, and the service manager that hears it. */
export class Restartable {
  readonly folder = new Folder();
  /** What all processes have said, in order. */
  readonly said: Said[] = [];
  /** What came by standard error. */
  complaints = '';
  readonly manager: ServiceManager;
  readonly web = this.folder.join('web');
  readonly pidFile = this.folder.join('pid');
  readonly control = this.folder.join('control');
  readonly #file = this.folder.join('life.json');
  readonly #first: ChildProcess;
  #isClosed = false;

  constructor(t: Test, life: Partial<Life> = {}, options: StartOptions = {}) {
    const { program = 'restartable', wrapper = [], node = [], env = {}, fds = [] } = options;
    this.manager = new ServiceManager(t);
    this.lives(life);
    const path = programPath(`./programs/${program}.js`, import.meta.url);
    const [file = '', ...args] = [...wrapper, process.execPath, ...node, path, this.#file];
    this.#first = spawn(file, args, {
      env: { ...plainEnvironment, NOTIFY_SOCKET: this.manager.notifySocket, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
    });
    const { stdout, stderr } = this.#first;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    createInterface({ input: stdout }).on('line', (line) => this.said.push(JSON.parse(line) as Said));
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text;
    });
    // When all processes that have them are gone.
    this.#first.on('close', () => {
      this.#isClosed = true;
    });
    t.teardown(async () => {
      for (const pid of this.pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      await this.allGone();
      this.folder[Symbol.dispose]();
    });
  }

  /** Says how the next process is to live. */
  lives(life: Partial<Life>): void {
    const { options, ...more } = life;
    const all = { sockets: { web: `unix:${this.web}` }, pidFile: this.pidFile, control: this.control, ...options };
    writeFileSync(this.#file, JSON.stringify({ options: all, ...more }));
  }

  /** The first process. */
  get pid(): number {
    return this.#first.pid ?? 0;
  }

  /** All processes that have said something. */
  get pids(): number[] {
    return [...new Set([this.pid, ...this.said.map(({ pid }) => pid)])];
  }

  /** What the PID file says. */
  get owner(): number {
    return Number(readFileSync(this.pidFile, 'utf8'));
  }

  /** Waits until something was said, that was said already included. */
  async hears(what: string | Partial<Said>, count = 1): Promise<Said> {
    const wanted = typeof what === 'string' ? { what } : what;
    const find = () =>
      this.said.filter((said) => Object.entries(wanted).every(([name, value]) => said[name] === value))[count - 1];
    await this.until(() => find() !== undefined, `${JSON.stringify(wanted)} to be said`);
    return find() as Said;
  }

  /** Waits until all processes are gone. */
  async allGone(): Promise<void> {
    await this.until(() => this.#isClosed && !this.pids.some(isAlive), 'all processes to end');
  }

  async gone(pid: number): Promise<void> {
    await this.until(() => !isAlive(pid), `${pid} to end`);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const complaint = () =>
      `waited for ${what}; said was\n${this.said.map((said) => JSON.stringify(said)).join('\n')}\n${this.complaints}`;
    await untilOr(LIMIT, condition, complaint);
  }

  /** The exit of the first process. */
  async exit(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    await this.until(() => this.#first.exitCode !== null || this.#first.signalCode !== null, 'the first one to end');
    return { code: this.#first.exitCode, signal: this.#first.signalCode };
  }

  kill(signal: NodeJS.Signals, pid = this.pid): void {
    process.kill(pid, signal);
  }

  /** Asks at the socket. @returns the id of the process that has answered */
  async ask(path = '/', socketPath = this.web): Promise<number> {
    return Number(await ask(socketPath, path));
  }

  /** Asks again and again, one client after the other, each by a new connection, until it is stopped. */
  load(clients = 4): Load {
    return new Load(() => ask(this.web, '/'), clients);
  }

  /** Files in its folder but those that are there all the time. */
  get litter(): string[] {
    const own = ['life.json', 'web', 'pid', 'control'];
    return readdirSync(this.folder.path).filter((name) => !own.includes(name));
  }

  has(path: string): boolean {
    return existsSync(path);
  }
}

/** Requests that go on all the time. */
export class Load {
  /** How many a process has answered. */
  readonly answered = new Map<string, number>();
  readonly errors: string[] = [];
  readonly #clients: Promise<void>[];
  #stops = false;

  constructor(request: () => Promise<string>, clients: number) {
    this.#clients = Array.from({ length: clients }, async () => {
      while (!this.#stops) {
        try {
          const by = await request();
          this.answered.set(by, (this.answered.get(by) ?? 0) + 1);
        } catch (error) {
          this.errors.push(String(error));
        }
      }
    });
  }

  async stop(): Promise<this> {
    this.#stops = true;
    await Promise.all(this.#clients);
    return this;
  }
}

/** One request by a connection of its own. */
export async function ask(socketPath: string, path: string): Promise<string> {
  const request = get({ socketPath, path, agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return body;
}

/** A connection that left HTTP as a WebSocket does: it lives until it says goodbye. */
export class WebSocketLike {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
  }

  static async open(path: string): Promise<WebSocketLike> {
    const socket = connect(path);
    const own = new WebSocketLike(socket);
    socket.write('GET / HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await once(socket, 'data');
    return own;
  }

  received(bytes: string | Buffer): boolean {
    return this.#received.includes(bytes);
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  /** Says goodbye. */
  end(): void {
    this.#socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
  }
}

/** Whether there is such a process that has not ended; a zombie has. */
export function isAlive(pid: number): boolean {
  // A zombie that still has threads has not ended yet.
  return !['', 'Z', 'X'].includes(stateOf(pid)) || entries(`/proc/${pid}/task`).length > 1;
}

function stateOf(pid: number): string {
  return /^.*\) (.)/s.exec(textOf(`/proc/${pid}/stat`))?.[1] ?? '';
}

/** What a process has open, without numbers: kinds and paths, sorted. */
export function kindsOpen(pid: number): string[] {
  return entries(`/proc/${pid}/fd`)
    .map((fd) => targetOf(`/proc/${pid}/fd/${fd}`).replace(/\d+/g, '*'))
    .filter(Boolean)
    .sort();
}

// What is looked at may be gone by then.

function entries(path: string): string[] {
  return orGone([], () => readdirSync(path));
}

function textOf(path: string): string {
  return orGone('', () => readFileSync(path, 'ascii'));
}

function targetOf(path: string): string {
  return orGone('', () => readlinkSync(path));
}

function orGone<T>(gone: T, look: () => T): T {
  try {
    return look();
  } catch {
    return gone;
  }
}
