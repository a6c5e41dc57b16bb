import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { EventLoop } from '@sdrx/event';
import * as linux from '@sdrx/linux';
import { openFds } from '../support/nothing-left.js';
import { runProgram } from '../support/run-program.js';
import { childNames, maskOf } from './names.js';
import { found, World, type WorldVerbs } from './world.js';

/** The real one. */
export class LinuxWorld extends World {
  readonly loop = new EventLoop();
  readonly #openBefore = openFds();
  readonly #fds = new Map<string, linux.Fd>();
  /** Also those of descriptors that were given away. */
  readonly #numbers = new Map<string, number>();
  readonly #processes = new Map<string, linux.ChildProcess>();

  run(): Promise<number> {
    return this.loop.run();
  }

  descriptor(name: string, own: boolean): linux.Fd | number {
    const fd = this.#fd(name);
    return own ? fd : fd.number;
  }

  process(name: string): linux.ChildProcess {
    return found(this.#processes, name);
  }

  path(path: string): string {
    return path;
  }

  passTime(clock: linux.Clock): void {
    for (const start = linux.now(clock); linux.now(clock) <= start + 1; );
  }

  override cleanUp(): void {
    for (const fd of this.#fds.values()) fd.close();
    for (const child of this.#processes.values()) {
      // A source that owned it has reaped it.
      if (child.pidfd.number >= 0 && child.kill('SIGKILL')) linux.waitPid(child.pid, linux.WEXITED);
      child[Symbol.dispose]();
    }
    super.cleanUp();
    for (const left of openFds().filter((fd) => !this.#openBefore.includes(fd))) this.trace(`left open: ${left}`);
  }

  protected readonly own: WorldVerbs = {
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
      const socket = linux.accept(this.#fd(listener).number);
      if (socket === undefined) throw new Error('nobody connects');
      this.#own(name, socket);
    },
    add: (name = '', count = '') => {
      const value = Buffer.alloc(8);
      value.writeBigUInt64LE(BigInt(count));
      linux.write(this.#fd(name).number, value);
    },
    take: (name = '') => {
      linux.read(this.#fd(name).number, Buffer.alloc(8));
    },
    send: (name = '', text = '') => {
      linux.write(this.#fd(name).number, Buffer.from(text));
    },
    receive: (name = '') => {
      const buffer = Buffer.alloc(256);
      const size = linux.read(this.#fd(name).number, buffer);
      this.trace(`receive ${name} ${size === undefined ? 'EAGAIN' : `'${buffer.toString('utf8', 0, size)}'`}`);
    },
    close: (name = '') => this.#fd(name).close(),
    open: (name = '') => this.trace(`open ${name} ${linux.isOpen(found(this.#numbers, name)) ? 'yes' : 'no'}`),

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
    alive: (name = '') => this.trace(`alive ${name} ${isAlive(this.process(name).pid) ? 'yes' : 'no'}`),
    queue: (signal, value) => {
      linux.sigqueue(process.pid, signal as linux.Signal, Number(value));
      waitUntilPending(signal as linux.Signal);
    },
    sleep: (time) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(time));
    },
  };

  protected sendSelf(signal: linux.Signal): void {
    process.kill(process.pid, linux.signalNumber(signal));
    waitUntilPending(signal);
  }

  protected manager(name: string): void {
    this.#bound(name, 'notify', linux.SOCK_DGRAM);
  }

  #fd(name: string): linux.Fd {
    return found(this.#fds, name);
  }

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
