import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { untilOr } from './until.js';

/**
 * What Node runs before a program: the first process to take the file, by adding its id to the name, stops itself until it gets
 * SIGCONT, once it has loaded the native code (koffi) that all else needs. What Node itself does to load a program is not our concern.
 */
const SCRIPT = `
const { dlopen } = process;
const file = process.env.SDRX_TEST_STOP;
process.dlopen = function (...args) {
  dlopen.apply(process, args);
  process.dlopen = dlopen;
  try {
    require('node:fs').renameSync(file, file + '.' + process.pid);
    process.kill(process.pid, 'SIGSTOP');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
};
`;

/** How long a process may take to start, in milliseconds. */
const LIMIT = 60_000;

/** Stops a daemon, or the next of its workers, as Node begins to run it, so that its start can be watched. */
export class StoppedStart {
  readonly #folder: string;

  /** @param folder where it may have files */
  constructor(folder: string) {
    this.#folder = folder;
    writeFileSync(`${folder}/stop.cjs`, SCRIPT);
  }

  /** What the daemon needs in its environment. */
  get env(): Readonly<Record<string, string>> {
    // With few threads: of each the state is looked at, in the same way.
    const options = `--require=${this.#folder}/stop.cjs --v8-pool-size=1`;
    return { NODE_OPTIONS: options, UV_THREADPOOL_SIZE: '1', SDRX_TEST_STOP: this.#file };
  }

  /** The next one that starts is to stop. */
  arm(): void {
    writeFileSync(this.#file, '');
  }

  /** Resolves with the id of the process once it stands still. */
  async stopped(): Promise<number> {
    let pid = 0;
    await untilOr(
      LIMIT,
      () => {
        pid = this.#taker();
        return pid !== 0 && isStopped(pid);
      },
      () => `nothing has stopped at its start${existsSync(this.#file) ? ', or begun to start' : ''}`,
    );
    rmSync(`${this.#file}.${pid}`);
    return pid;
  }

  get #file(): string {
    return `${this.#folder}/stop`;
  }

  #taker(): number {
    const [, pid] = readdirSync(this.#folder).flatMap((file) => /^stop\.(\d+)$/.exec(file) ?? []);
    return Number(pid ?? 0);
  }
}

function isStopped(pid: number): boolean {
  return /^State:\s*T/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
}
