// Becomes another user and starts programs with what it lacks the privileges for; prints the errors. Its limit for core files
// has to be 0.
import { isSystemError, type SpawnOptions, spawn } from '@sdrx/linux';
import { children } from '../../support/children.js';
import { waitForExit } from '../../support/wait-for-exit.js';

process.setgroups?.([]);
process.setgid?.(65534);
process.setuid?.(65534);

function failure(options: SpawnOptions): string {
  try {
    waitForExit(spawn('true', options));
    return '';
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const { code, syscall, subject } = error as typeof error & { subject?: string };
    return `${code} ${syscall} ${subject}`;
  }
}

process.stdout.write(
  JSON.stringify({
    groups: failure({ user: { uid: 0, gid: 0 } }),
    group: failure({ user: { uid: 0, gid: 0, groups: [0, 4] } }),
    soft: failure({ limits: { nproc: [100, 100] } }),
    hard: failure({ limits: { core: [0, 1] } }),
    children: children(),
  }),
);
