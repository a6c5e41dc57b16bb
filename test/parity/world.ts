import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as linux from '@sdrx/linux';
import { openFds } from '../support/open-fds.js';
import { runProgram } from '../support/run-program.js';
import { childNames, maskOf } from './names.js';

type Verbs = Readonly<Record<string, (...args: string[]) => void>>;

/** What a scenario's sources are about: descriptors, files, processes, signals, the environment. Its folder is the current one. */
export class World {
  readonly #trace: (line: string) => void;
  readonly #openBefore = openFds();
  readonly #folder = mkdtempSync(join(tmpdir(), 'sdrx-test-'));
  readonly #fds = new Map<string, linux.Fd>();
  /** Also those of descriptors that were given away. */
  readonly #numbers = new Map<string, number>();
  readonly #processes = new Map<string, linux.ChildProcess>();
  readonly #environment = new Set<string>();
  readonly #cookies: number[] = [];
  /** The signals that were raised and not dispatched yet. */
  readonly raised = new Set<string>();

  constructor(trace: (line: string) => void) {
    this.#trace = trace;
    process.chdir(this.#folder);
  }

  fd(name: string): linux.Fd {
    return found(this.#fds, name);
  }

  process(name: string): linux.ChildProcess {
    return found(this.#processes, name);
  }

  /** Cookies are numbered as they come. */
  cookieNumber(cookie: number): number {
    if (!this.#cookies.includes(cookie)) this.#cookies.push(cookie);
    return this.#cookies.indexOf(cookie) + 1;
  }

  /** Takes everything away, so that the next scenario finds nothing of it; the trace tells what can't be. */
  cleanUp(): void {
    for (const fd of this.#fds.values()) fd.close();
    for (const child of this.#processes.values()) {
      // A source that owned it has reaped it.
      if (child.pidfd.number >= 0 && child.kill('SIGKILL')) linux.waitPid(child.pid, linux.WEXITED);
      child[Symbol.dispose]();
    }
    for (const name of this.#environment) delete process.env[name];
    process.chdir('/');
    rmSync(this.#folder, { recursive: true });
    for (const left of openFds().filter((fd) => !this.#openBefore.includes(fd))) this.#trace(`left open: ${left}`);
  }

  readonly #descriptorVerbs: Verbs = {
    eventfd: (name = '', count) => this.#own(name, linux.eventfd(Number(count))),
    sockets: (one = '', other = '') => {
      const [ours, theirs] = linux.socketPair();
      this.#own(one, ours);
      this.#own(other, theirs);
    },
    fifo: (name = '', path = '') => {
      runProgram('mkfifo', [path]);
      this.#open(name, path, constants.O_RDWR | constants.O_NONBLOCK);
    },
    file: (name = '', path = '') => this.#open(name, path, constants.O_RDWR | constants.O_CREAT),
    listen: (name = '', path = '') => {
      const socket = this.#bound(name, path, linux.SOCK_STREAM);
      linux.listen(socket.number);
    },
    accept: (name = '', listener = '') => {
      const socket = linux.accept(this.fd(listener).number);
      if (socket === undefined) throw new Error('nobody connects');
      this.#own(name, socket);
    },
    manager: (name = '') => {
      this.#bound(name, 'notify', linux.SOCK_DGRAM);
      this.#setEnvironment('NOTIFY_SOCKET', './notify');
    },
    add: (name = '', count = '') => {
      const value = Buffer.alloc(8);
      value.writeBigUInt64LE(BigInt(count));
      linux.write(this.fd(name).number, value);
    },
    take: (name = '') => {
      linux.read(this.fd(name).number, Buffer.alloc(8));
    },
    send: (name = '', text = '') => {
      linux.write(this.fd(name).number, Buffer.from(text));
    },
    receive: (name = '') => {
      const buffer = Buffer.alloc(256);
      const size = linux.read(this.fd(name).number, buffer);
      this.#trace(`receive ${name} ${size === undefined ? 'EAGAIN' : `'${buffer.toString('utf8', 0, size)}'`}`);
    },
    close: (name = '') => this.fd(name).close(),
    open: (name = '') => this.#trace(`open ${name} ${linux.isOpen(found(this.#numbers, name)) ? 'yes' : 'no'}`),
  };

  readonly #fileVerbs: Verbs = {
    touch: (path = '') => closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT)),
    mkdir: (path = '') => mkdirSync(path),
    rename: (from = '', to = '') => renameSync(from, to),
    delete: (path = '') => rmSync(path, { recursive: true }),
    chmod: (path = '') => chmodSync(path, 0o600),
    // Alternates between two changes, as equal events that follow each other are merged.
    overflow: (first = '', second = '') => {
      const limit = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'ascii'));
      for (let count = 0; count <= limit; count++) chmodSync(count % 2 ? first : second, 0o600);
    },
  };

  readonly #processVerbs: Verbs = {
    // One that waits ends with us at the latest, when its input does.
    process: (name = '', command = '') => {
      const [reader, writer] = linux.pipe();
      linux.setNonBlocking(reader.number, false);
      const script = command === 'waiting' ? 'exec cat' : `exit ${command}`;
      this.#processes.set(name, linux.spawn('sh', { args: ['-c', script], fds: [reader, null, 2] }));
      this.#own(`input of ${name}`, writer);
      reader.close();
    },
    await: (name = '', change = '') => {
      linux.waitPidfd(this.process(name).pidfd.number, maskOf(childNames, change) | linux.WNOWAIT);
    },
    kill: (name = '', signal) => this.process(name).kill(signal as linux.Signal),
    alive: (name = '') => this.#trace(`alive ${name} ${isAlive(this.process(name).pid) ? 'yes' : 'no'}`),
    // Not while one is under way, which would take it in, or not.
    raise: (signal = '') => {
      if (this.raised.has(signal)) return;
      this.raised.add(signal);
      process.kill(process.pid, linux.signalNumber(signal as linux.Signal));
      waitUntilPending(signal as linux.Signal);
    },
    queue: (signal, value) => {
      linux.sigqueue(process.pid, signal as linux.Signal, Number(value));
      waitUntilPending(signal as linux.Signal);
    },
    environment: (name = '', value = '') => this.#setEnvironment(name, value),
    sleep: (time) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(time));
    },
  };

  readonly verbs: Verbs = { ...this.#descriptorVerbs, ...this.#fileVerbs, ...this.#processVerbs };

  #own(name: string, fd: linux.Fd): void {
    this.#fds.set(name, fd);
    this.#numbers.set(name, fd.number);
  }

  #open(name: string, path: string, flags: number): void {
    this.#own(name, new linux.Fd(openSync(path, flags, 0o600)));
  }

  #bound(name: string, path: string, type: Parameters<typeof linux.unixSocket>[0]): linux.Fd {
    const socket = linux.unixSocket(type);
    this.#own(name, socket);
    linux.bind(socket.number, path);
    return socket;
  }

  /** A value that begins with `./` is made an absolute path. */
  #setEnvironment(name: string, value: string): void {
    process.env[name] = value.startsWith('./') ? resolve(value) : value;
    this.#environment.add(name);
  }
}

function found<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`nothing has the name ${name}`);
  return value;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * A signal reaches the main thread through another one, unless all others block it already, which takes a moment; its place
 * in the trace must not hang on that.
 */
function waitUntilPending(signal: linux.Signal): void {
  const bit = 1n << BigInt(linux.signalNumber(signal) - 1);
  const has = (thread: string, mask: string): boolean => (signalMask(thread, mask) & bit) !== 0n;
  for (;;) {
    const mainOnly = readdirSync('/proc/self/task').every((thread) => has(thread, 'SigBlk'));
    if (has('self', 'SigPnd') || (mainOnly && has('self', 'ShdPnd'))) return;
  }
}

function signalMask(thread: string, name: string): bigint {
  const status = readFileSync(`/proc/${thread}/status`, 'ascii');
  return BigInt(`0x${new RegExp(`^${name}:\\s*(\\w+)$`, 'm').exec(status)?.[1] ?? '0'}`);
}
