import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Child } from './child.js';
import type { Debian } from './debian.js';
import type { Folder } from './folder.js';
import { childrenOf, processorTime } from './processes.js';

const SOCKET = 'io.systemd.NamespaceResource';

/** How to start a daemon that speaks io.systemd.NamespaceResource. */
export interface ServiceProgram {
  readonly name: string;
  readonly command: readonly string[];
  readonly runtimeDirectory: string;
  readonly socket: string;
}

/** Our nsresourced, as it was built. */
export function ours(folder: Folder): ServiceProgram {
  const program = fileURLToPath(new URL('../../../packages/daemon/bin/nsresourced', import.meta.url));
  const runtimeDirectory = folder.join('run');
  return {
    name: 'sdrx',
    command: [program, `--runtime-directory=${runtimeDirectory}`, '--userns-restrict=off'],
    runtimeDirectory,
    socket: `${runtimeDirectory}/${SOCKET}`,
  };
}

/** systemd's. Where the kernel refuses its BPF program it serves user records only. */
export function systemd(debian: Debian): ServiceProgram {
  const runtimeDirectory = `${debian.run}/systemd`;
  return {
    name: 'systemd 257',
    command: debian.command('/usr/lib/systemd/systemd-nsresourced'),
    runtimeDirectory,
    socket: `${runtimeDirectory}/${SOCKET}`,
  };
}

/** Gives a daemon that does not run the registry of another one. */
export function copyRegistry(from: ServiceProgram, to: ServiceProgram): void {
  const registry = 'nsresource/registry';
  mkdirSync(dirname(`${to.runtimeDirectory}/${registry}`), { recursive: true });
  cpSync(`${from.runtimeDirectory}/${registry}`, `${to.runtimeDirectory}/${registry}`, { recursive: true });
}

/** Our environment, with the Node that runs us the first on PATH: the daemon's first line asks for `node`. */
export const environment: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
};

/** A daemon that runs; all of its processes end with this object. */
export class Service implements AsyncDisposable {
  private constructor(
    readonly program: ServiceProgram,
    readonly manager: Child,
  ) {}

  /**
   * Starts a daemon and waits until it answers calls and has nothing left to do.
   * @param answered is called at its first answer
   */
  static async start(program: ServiceProgram, answered: () => void = () => {}): Promise<Service> {
    const service = new Service(program, new Child(program.command, environment));
    try {
      while (!existsSync(program.socket)) await service.#wait();
      while (!(await answers(program.socket))) await service.#wait();
      answered();
      await service.rest();
      return service;
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
  }

  get workers(): number[] {
    return childrenOf(this.manager.pid);
  }

  /** Of manager and workers, dead ones included, in seconds. */
  get processorTime(): number {
    return processorTime([this.manager.pid, ...this.workers]);
  }

  /** Waits until its processes have done what they had to do: workers may still be starting. */
  async rest(): Promise<void> {
    for (let before = -1, now = 0; now > before; now = this.processorTime) {
      before = now;
      await setTimeout(300);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = this.manager.running ? this.workers : [];
    await this.manager[Symbol.asyncDispose]();
    while (workers.some((pid) => existsSync(`/proc/${pid}`))) await setTimeout(10);
  }

  async #wait(): Promise<void> {
    if (!this.manager.running) throw this.manager.failure();
    await setTimeout(10);
  }
}

/** Whether somebody accepts connections and answers. */
async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    socket.write('{"method":"org.varlink.service.GetInfo"}\0');
    await once(socket, 'data');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
