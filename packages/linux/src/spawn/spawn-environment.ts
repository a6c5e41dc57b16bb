import { cStrings } from '../ffi/c-string.js';
import { addressOf } from '../ffi/libc.js';
import { environ } from '../process/environ.js';
import { isMainThread } from '../signal/signal-forwarder.js';

/** Somebody may put another object in its place. */
const initialEnv = process.env;

/** What sd_listen_fds(3) reads. LISTEN_PIDFDID can't be known before the process is there, and one of ours means ourselves. */
const LISTEN_VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];

/** The most digits of a process id, with the NUL after them. */
const ID_SIZE = 11;

export interface SpawnEnvironment {
  /** The list of C, or its address. */
  readonly list: Buffer | bigint;
  /** The address where the process has to write its id in decimal. */
  readonly id?: bigint;
}

/**
 * The environment of a new process.
 * @param variables by default our own
 * @param names those of the descriptors that it is activated with; undefined if it is not, then its variables are as they are
 */
export function spawnEnvironment(
  variables: Readonly<NodeJS.ProcessEnv> | undefined,
  names: readonly string[] | undefined,
): SpawnEnvironment {
  if (names === undefined)
    return { list: variables === undefined ? ownEnvironment() : cStrings(texts(variables), 'execve') };
  const others: NodeJS.ProcessEnv = { ...(variables ?? process.env) };
  for (const variable of LISTEN_VARIABLES) delete others[variable];
  if (names.length === 0) return { list: cStrings(texts(others), 'execve') };
  const activation = [`LISTEN_FDS=${names.length}`, `LISTEN_FDNAMES=${names.join(':')}`];
  const list = cStrings([...texts(others), ...activation, `LISTEN_PID=${' '.repeat(ID_SIZE - 1)}`], 'execve');
  // The last text's end is the list's.
  list.fill(0, list.length - ID_SIZE);
  return { list, id: addressOf(list) + BigInt(list.length - ID_SIZE) };
}

/** Where JavaScript's is the C library's, as that: copying the variables one by one would take longer than all the rest. */
function ownEnvironment(): Buffer | bigint {
  return process.env === initialEnv && isMainThread() ? environ() : cStrings(texts(process.env), 'execve');
}

function texts(variables: Readonly<NodeJS.ProcessEnv>): string[] {
  return Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}`));
}
