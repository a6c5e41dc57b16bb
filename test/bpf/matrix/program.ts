import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { killed } from '../../support/killed.js';
import { programPath } from '../../support/program-path.js';
import type { Environment } from './environments.js';
import type { Mount, UserNamespace } from './facts.js';
import type { IdMap } from './ids.js';

/** What came of an attempt: `ok`, or the name of an errno. */
export interface Result {
  readonly mount: string;
  readonly attempt: string;
  readonly result: string;
}

/** An inode that is on a mount after all attempts, as the disk has it. */
export interface Left {
  readonly mount: string;
  readonly path: string;
  readonly uids: number;
  readonly gids: number;
}

const lines = (map: IdMap | undefined) => map?.map((line) => line.join(':')).join(',') ?? '-';

/** The program that tries it all, which was compiled for the machine. It ends when it is disposed of. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(path = programPath('./program/attempts', import.meta.url)) {
    const child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async #ask(...words: readonly (string | number)[]): Promise<string[]> {
    this.#child.stdin?.write(`${words.join(' ')}\n`);
    const answer: string[] = [];
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) throw new Error(`it ended within '${words.join(' ')}' after ${answer.length} lines`);
      if (value === '.') return answer;
      answer.push(value);
    }
  }

  /** Keeps a namespace. @returns the process in it */
  async keep({ name, parent, uids, gids }: UserNamespace): Promise<number> {
    const [pid = ''] = await this.#ask('user', name, parent?.name ?? '-', lines(uids), lines(gids));
    if (!/^\d+$/.test(pid)) throw new Error(`no namespace ${name}: ${pid}`);
    return Number(pid);
  }

  async mount({ name, maker, fileSystem, superblock, idmap, upper }: Mount): Promise<void> {
    const kind = idmap ? 'idmapped' : fileSystem === 'ext4' ? 'bind' : fileSystem;
    const more = upper ? [upper.name, '-'] : [lines(idmap?.uids), lines(idmap?.gids)];
    const [result] = await this.#ask('mount', name, maker?.name ?? '-', kind, ...more);
    if (result !== 'ok') throw new Error(`no mount ${name} of ${superblock.name}: ${result}`);
  }

  /** Tries everything in an environment. */
  async run({ task, others, cells, steps }: Environment): Promise<[Result[], Left[]]> {
    const { uids, gids } = task.ids;
    const mounts = new Set(cells.map(({ mount }) => mount));
    const parts = [...mounts].map((mount) => {
      const names = cells.filter((cell) => cell.mount === mount).map(({ attempt }) => attempt.name);
      return `${mount.name}=${names.join(',')}`;
    });
    const answer = await this.#ask('run', uids, gids, ...others, parts.join(';'), ...steps);
    const left: Left[] = [];
    const results: Result[] = [];
    for (const line of answer) {
      const [mount = '', attempt = '', result = '', ...more] = line.split(' ');
      if (mount === 'left') {
        const [uid, gid] = more;
        left.push({ mount: attempt, path: result, uids: Number(uid), gids: Number(gid) });
      } else results.push({ mount, attempt, result });
    }
    return [results, left];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killed(this.#child);
  }
}
