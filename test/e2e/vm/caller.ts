import { fork } from 'node:child_process';
import { once } from 'node:events';
import { programPath } from '../../support/program-path.js';
import type { RawReply } from '../../support/varlink-call.js';
import type { ALICE } from './machine.js';

/** A file that the caller opens and passes. */
export interface PassedFile {
  readonly path: string;
  /** Those of open(2); read-only unless given. */
  readonly flags?: number;
}

/** A call, by a client that can say anything. */
export interface Call {
  readonly method: string;
  readonly parameters?: unknown;
  readonly files?: readonly PassedFile[];
  /** Further keys of the message. */
  readonly keys?: Readonly<Record<string, unknown>>;
}

/** The reply, or why there was none. */
export type Answer = RawReply | { readonly closed: string };

/** A process of another user, or of root, that calls the daemon. */
export class Caller implements AsyncDisposable {
  readonly #process;

  constructor(uid: 0 | typeof ALICE) {
    const user = uid === 0 ? {} : { uid, gid: uid };
    this.#process = fork(programPath('caller-program.js', import.meta.url), { ...user, cwd: '/' });
  }

  async call(call: Call): Promise<Answer> {
    const answer = once(this.#process, 'message');
    this.#process.send(call);
    const [reply] = await answer;
    return reply as Answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}
