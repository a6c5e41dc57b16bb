import { checkArray, checkChoice, checkFd, checkObject, checkText } from './arguments.js';
import { Fd } from './fd.js';

export interface SpawnOptions {
  /** The arguments after the program's name. */
  readonly args?: readonly string[];
  /** The whole environment; by default this process's own. */
  readonly env?: Readonly<NodeJS.ProcessEnv>;
  /**
   * What the child finds as its descriptors 0, 1, 2, …: one of ours, which it gets a copy of, or `null` for /dev/null.
   * By default it shares 0 to 2, which must then be open.
   */
  readonly fds?: readonly (number | Fd | null)[];
  /**
   * What becomes of all others, of which the child has copies until then: `closed`, the default, while this call waits; or
   * `close-on-exec`, those that are so, once the program has begun. Closing a copy may wait for ever, as for a FUSE server
   * that does not answer, and then it is better that the child does so alone.
   */
  readonly others?: 'closed' | 'close-on-exec';
  /** Where it starts; also what a `file` with a slash that is not absolute is relative to. */
  readonly cwd?: string;
  /** Runs it in a new session, or in a new process group, of its own. */
  readonly group?: 'session' | 'process-group';
}

/** Throws TypeError and RangeError for what no child can be given. */
export function checkSpawnOptions(options: SpawnOptions): void {
  checkObject('options', options, 'an object, of which the arguments are `args`');
  const { args, env, fds, others, cwd, group } = options;
  if (args !== undefined) checkArray('args', args, checkText);
  if (env !== undefined) checkEnvironment(env);
  if (fds !== undefined) checkArray('fds', fds, checkSource);
  if (others !== undefined) checkChoice('others', others, ['closed', 'close-on-exec']);
  if (cwd !== undefined) checkText('cwd', cwd);
  if (group !== undefined) checkChoice('group', group, ['session', 'process-group']);
}

function checkEnvironment(env: unknown): void {
  checkObject('env', env);
  for (const [name, value] of Object.entries(env)) if (value !== undefined) checkText(`env.${name}`, value);
}

function checkSource(name: string, source: unknown): void {
  if (source !== null && !(source instanceof Fd)) checkFd(source, name);
}
