import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Fd, NodePoll } from '@sdrx/linux';
import { programPath } from '../support/program-path.js';
import type { Life } from './programs/sleeper.js';
import { plainEnvironment } from './run-node.js';

/** A life of the service, as its activator saw it. */
export interface SeenLife extends Life {
  /** When the activator knew that it was over, by the monotonic clock, in milliseconds. */
  readonly over: number;
}

/**
 * Does what a service manager does for a socket unit: whenever something waits in the socket it starts the service with it,
 * programs/sleeper.js, and waits until that has left. A process a life takes long; `often` has one process live again and again.
 */
export class Activator {
  readonly lives: SeenLife[] = [];
  readonly #socket: Fd;
  readonly #args: readonly string[];
  readonly #often: boolean;
  #sleeper: Sleeper | undefined;
  #stopped = false;
  #wake = () => {};
  readonly #done: Promise<void>;

  constructor(socket: Fd, how: 'once' | 'often', longest: number) {
    this.#socket = socket;
    this.#args = [how, String(longest)];
    this.#often = how === 'often';
    this.#done = this.#run();
  }

  /** Starts it no more, and waits until it has left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#done;
    this.#sleeper?.process.stdin?.end();
    await this.#sleeper?.ended;
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#somethingWaits();
      if (this.#stopped) return;
      this.#sleeper ??= start(this.#socket, this.#args);
      if (this.#often) this.#sleeper.process.stdin?.write('\n');
      const { value } = await this.#sleeper.lines.next();
      if (value === undefined) throw new Error(`the service ended: ${await this.#sleeper.ended}`);
      if (!this.#often) {
        await this.#sleeper.ended;
        this.#sleeper = undefined;
      }
      this.lives.push({ ...(JSON.parse(value) as Life), over: Number(process.hrtime.bigint()) / 1e6 });
    }
  }

  /** Or it is to stop. */
  async #somethingWaits(): Promise<void> {
    let poll: NodePoll | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#stopped) resolve();
      else poll = new NodePoll(this.#socket.number, () => setImmediate(resolve));
    });
    poll?.[Symbol.dispose]();
  }
}

interface Sleeper {
  readonly process: ChildProcess;
  readonly lines: AsyncIterator<string, undefined>;
  readonly ended: Promise<unknown>;
}

function start(socket: Fd, args: readonly string[]): Sleeper {
  const program = programPath('./programs/sleeper.js', import.meta.url);
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', process.execPath, program, ...args], {
    env: plainEnvironment,
    stdio: ['pipe', 'pipe', 'inherit', socket.number],
  });
  const lines = createInterface(child.stdout as NonNullable<typeof child.stdout>);
  return { process: child, lines: lines[Symbol.asyncIterator](), ended: once(child, 'exit') };
}
