import { HelperLauncher, LocalQuota, type NamespaceHelpers, unreadableProgram } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { type ChildProcess, pipe, spawn } from '@sdrx/linux';
import type { Test } from 'tap';
import { UID } from './call-as.js';
import { children, childrenOf } from './children.js';
import { leavingNothing } from './nothing-left.js';
import { programPath } from './program-path.js';
import { readable } from './readable.js';
import { until } from './until.js';
import { waitForExit } from './wait-for-exit.js';

/** How many processes a user may have in namespaces. */
const PLACES = 2;

/** Waits until it is done, whatever is thrown in it, with what starts processes within namespaces, and nothing stays of it. */
export async function withHelpers(t: Test, body: (context: NamespaceHelpers) => Promise<void>): Promise<void> {
  // What stays for all of them.
  unreadableProgram();
  const before = children();
  await leavingNothing(async () => {
    using loop = new EventLoop();
    const running = loop.run();
    using launcher = new HelperLauncher(loop);
    launcher.start();
    await body({ loop, launcher, helpers: new LocalQuota(PLACES) });
    await until(() => processes(launcher).length === 0);
    launcher[Symbol.dispose]();
    // The loop reaps it, and those that it replaced.
    await until(() => children().every((pid) => before.includes(pid)));
    loop.exit();
    await running;
  })(t);
}

/** The processes within namespaces. */
export function processes({ pid = 0 }: HelperLauncher): number[] {
  return childrenOf(pid);
}

/** The owner of a namespace, who stops whatever a launcher has started as soon as that can be done. */
export class Stopper implements Disposable {
  readonly #child: ChildProcess;
  readonly runs: Promise<void>;

  constructor({ pid = 0 }: HelperLauncher) {
    const [output, theirs] = pipe();
    using inherited = theirs;
    const program = [process.execPath, programPath('stopper.js', import.meta.url), String(pid)];
    this.#child = spawn('setpriv', {
      args: [`--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', ...program],
      fds: [null, inherited, 2],
    });
    this.runs = readable(output.number).finally(() => output.close());
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
    waitForExit(this.#child);
  }
}
