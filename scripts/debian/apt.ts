import { logged } from '../support/command.js';

/** What is being done: apt does one thing at a time. */
let last: Promise<unknown> = Promise.resolve();

let isUpdated = false;

/** Has the next `aptGet` ask anew what there is. */
export function newSources(): void {
  isUpdated = false;
}

/**
 * Runs apt-get(8), after an update by the first one. Who asks for another one meanwhile waits, as we do for those that others
 * have started.
 */
export function aptGet(...args: readonly string[]): Promise<void> {
  const work = last.then(async () => {
    const options = ['-q', '-y', '-o', 'DPkg::Lock::Timeout=600'];
    const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
    if (!isUpdated) await logged('apt-get', [...options, 'update'], quiet);
    isUpdated = true;
    await logged('apt-get', [...options, ...args], quiet);
  });
  last = work.catch(() => undefined);
  return work;
}
