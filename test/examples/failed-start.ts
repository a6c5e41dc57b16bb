import { spawnSync } from 'node:child_process';
import type { Fd } from '@sdrx/linux';
import { programPath } from '../support/program-path.js';

/** The longest that it may take to end, in milliseconds. */
const LIMIT = 60_000;

/** How an example ended that was to end by itself. */
export interface FailedStart {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs one of `examples/` to its end.
 * @param environment more of it. A LISTEN_PID becomes the example's own id if there is a LISTEN_FDS
 * @param passed its descriptors from the third on
 */
export function failedStart(
  name: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  passed: readonly Fd[] = [],
): FailedStart {
  const program = programPath(`../../../examples/dist/${name}.js`, import.meta.url);
  const script = 'test -z "$LISTEN_FDS" -o "$LISTEN_PID" || export LISTEN_PID=$$; exec "$0" "$@"';
  const { status, stderr, stdout } = spawnSync('sh', ['-c', script, process.execPath, program, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe', ...passed.map(({ number }) => number)],
    timeout: LIMIT,
  });
  return { status, stderr, stdout };
}
