import { resolve } from 'node:path';
import { LeftOverError, type VirtualChild, type VirtualDirectory, VirtualLoop } from '@sdrx/event/testing';
import { type Signal, signalNumber } from '@sdrx/linux';
import { VirtualEventFd, type VirtualFd, VirtualFile, VirtualManager, VirtualSocket } from './virtual-fds.js';
import { found, Unsupported, World, type WorldVerbs } from './world.js';

const SI_QUEUE = -1;

/** Where its files are. */
const FOLDER = '/scenario';

/** How long the machine has been up when a scenario begins, in milliseconds: times that are early have passed. */
const UPTIME = 60_000;

/** Its fs.inotify.max_queued_events. */
const MOST_QUEUED = 16_384;

/** That of a `VirtualLoop`. */
export class VirtualWorld extends World {
  readonly loop = new VirtualLoop();
  readonly #directory: VirtualDirectory = this.loop.makeDirectory(FOLDER);
  readonly #fds = new Map<string, VirtualFd>();
  readonly #children = new Map<string, VirtualChild>();
  #manager: VirtualManager | undefined;

  constructor(trace: (line: string) => void) {
    super(trace);
    this.loop.busy(UPTIME);
  }

  async run(): Promise<number> {
    const finished = this.loop.run();
    for (await this.loop.settle(); this.loop.state !== 'finished'; ) {
      if (this.#manager?.hears()) await this.loop.settle();
      else await this.loop.advanceToNext();
    }
    return await finished;
  }

  descriptor(name: string): number {
    return this.#fd(name).descriptor.number;
  }

  process(name: string): number {
    return this.#child(name).pid;
  }

  path(path: string): string {
    return `${FOLDER}/${path}`;
  }

  passTime(): void {
    this.loop.busy(1);
  }

  override cleanUp(): void {
    for (const fd of this.#fds.values()) if (!fd.descriptor.closed) fd.close();
    for (const child of this.#children.values()) {
      if (!child.ended) child.die(signalNumber('SIGKILL'));
      if (!child.reaped) child.reap();
    }
    try {
      this.loop[Symbol.dispose]();
    } catch (error) {
      if (!(error instanceof LeftOverError)) throw error;
      for (const left of error.left) this.trace(`left: ${left}`);
    }
    super.cleanUp();
  }

  protected readonly own: WorldVerbs = {
    eventfd: (name = '', count = '') => this.#open(name, new VirtualEventFd(this.loop.openDescriptor(), Number(count))),
    sockets: (one = '', other = '') => {
      const ours = new VirtualSocket(this.loop.openDescriptor());
      const theirs = new VirtualSocket(this.loop.openDescriptor());
      ours.peer = theirs;
      theirs.peer = ours;
      this.#open(one, ours);
      this.#open(other, theirs);
    },
    fifo: (name = '', path = '') => {
      const fifo = new VirtualSocket(this.loop.openDescriptor());
      const absolute = resolve(path);
      // What a service manager tells by a file is a word of the virtual kernel here.
      fifo.written = () => process.env.MEMORY_PRESSURE_WATCH === absolute && this.loop.press();
      this.#open(name, fifo);
    },
    file: (name = '', path = '') => {
      const descriptor = this.loop.openDescriptor({ pollable: false });
      this.#open(name, new VirtualFile(descriptor, this.#directory.open(path)));
    },
    listen: () => {
      throw new Unsupported(
        'that it is told by a socket, and what is said there, is not of the loop but of LinuxKernel',
      );
    },
    accept: () => {
      throw new Unsupported('there is nothing that listens');
    },
    add: (name = '', count = '') => this.#fd(name).write(count),
    take: (name = '') => void this.#fd(name).read(),
    send: (name = '', text = '') => this.#fd(name).write(text),
    receive: (name = '') => {
      const text = this.#fd(name).read();
      this.trace(`receive ${name} ${text === undefined ? 'EAGAIN' : `'${text}'`}`);
    },
    close: (name = '') => this.#fd(name).close(),
    open: (name = '') => this.trace(`open ${name} ${this.#fd(name).descriptor.closed ? 'no' : 'yes'}`),

    touch: (path = '') => this.#directory.open(path)[Symbol.dispose](),
    mkdir: (path = '') => void this.#directory.makeDirectory(path),
    rename: (from = '', to = '') => this.#directory.rename(from, to),
    delete: (path = '') => this.#directory.remove(path),
    chmod: (path = '') => this.#directory.chmod(path),
    overflow: (first = '', second = '') => {
      for (let count = 0; count <= MOST_QUEUED; count++) this.#directory.chmod(count % 2 ? first : second);
    },

    process: (name = '', command = '') => {
      const child = this.loop.startChild();
      this.#children.set(name, child);
      if (command !== 'waiting') child.exit(Number(command));
    },
    await: (name = '', change = '') => {
      if (change === 'exited' && !this.#child(name).ended) throw new Error(`${name} does not exit by itself`);
    },
    kill: (name = '', signal) => {
      const child = this.#child(name);
      const number = signalNumber(signal as Signal);
      if (child.ended) return;
      if (signal === 'SIGSTOP') child.stop(number);
      else if (signal === 'SIGCONT') child.continue(number);
      else child.die(number);
    },
    alive: (name = '') => this.trace(`alive ${name} ${this.#child(name).reaped ? 'no' : 'yes'}`),
    queue: (signal, value) => this.loop.send(signal as Signal, { code: SI_QUEUE, value: Number(value) }),
    sleep: (time) => this.loop.busy(Number(time)),
  };

  protected sendSelf(signal: Signal): void {
    this.loop.send(signal);
  }

  protected manager(name: string): void {
    this.#manager = new VirtualManager(this.loop.openDescriptor(), 'notify');
    this.#open(name, this.#manager);
  }

  #open(name: string, fd: VirtualFd): void {
    this.#fds.set(name, fd);
  }

  #fd(name: string): VirtualFd {
    return found(this.#fds, name);
  }

  #child(name: string): VirtualChild {
    return found(this.#children, name);
  }
}
