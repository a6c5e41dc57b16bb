import { openUsernsRestrict } from '@sdrx/bpf';
import { EventLoop, listenFds } from '@sdrx/event';
import { exitAtOnce, type Fd, isListeningUnixStream } from '@sdrx/linux';
import { type ServerEvent, serve, service } from '@sdrx/varlink';
import { EMPTY, finalize, merge, share, switchMap, take, takeUntil, tap } from 'rxjs';
import { callForHelp } from './call-for-help.js';
import { HelperLauncher } from './helper-launcher.js';
import { IdleTimer } from './idle-timer.js';
import { LIMITS } from './limits.js';
import type { Log } from './log.js';
import { methods } from './methods/index.js';
import { NameLookups } from './name-lookups.js';
import { LocalQuota } from './quota.js';
import { Registry } from './registry.js';
import { type Restriction, setUpRestriction } from './restriction.js';
import { UsageError } from './usage-error.js';
import { VERSION } from './version.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** After this time a worker ends, so that what one may hoard is bounded; milliseconds. */
const LIFETIME = 300_000;

/** A dynamic worker ends after this time without work, in milliseconds. */
const IDLE_LIFETIME = 90_000;

/** How late these may be, in milliseconds. */
const ACCURACY = 1000;

/** How long what has been begun may take once the worker is to end, in milliseconds. */
const DRAIN_TIMEOUT = 4000;

export interface WorkerSettings extends WorkerEnvironment {
  readonly runtimeDirectory: string;
  readonly restriction: Restriction;
  readonly log: Log;
}

/**
 * Serves the passed socket until old age, for want of work, or SIGTERM, and finishes what it has begun.
 * @returns the exit code
 */
export async function runWorker({ runtimeDirectory, restriction, api, fixed, log }: WorkerSettings): Promise<number> {
  using socket = takeSocket();
  using loop = new EventLoop();
  using registry = Registry.open(runtimeDirectory);
  const { restrict, liveness } = api
    ? setUpRestriction(restriction, runtimeDirectory, log, openUsernsRestrict)
    : { restrict: undefined, liveness: undefined };
  using launcher = new HelperLauncher(loop);
  // Before there are clients, whose descriptors it would have copies of.
  if (restrict !== undefined) launcher.start();
  const limits = LIMITS;
  const lookups = new NameLookups();
  const helpers = new LocalQuota(limits.helpersPerUser);
  const served = service(
    { vendor: 'sdrx', product: 'nsresourced', version: VERSION, url: 'https://systemd.io/USER_GROUP_API' },
    ...methods({ loop, registry, restrict, liveness, log, limits, launcher, helpers, lookups }),
  );
  const idle = new IdleTimer(loop, IDLE_LIFETIME, ACCURACY);
  const drain = merge(
    loop.signal('SIGTERM'),
    loop.signal('SIGINT'),
    loop.time({ after: LIFETIME, accuracy: ACCURACY, description: 'lifetime' }),
    fixed ? EMPTY : idle.elapsed,
  ).pipe(take(1), share());
  const overdue = drain.pipe(switchMap(() => loop.time({ after: DRAIN_TIMEOUT, description: 'drain' })));
  const code = await loop.run(
    serve(loop, served, socket.number, { drain }).pipe(
      tap(() => idle.restart()),
      tap((event) => report(event, log)),
      callForHelp(loop, process.ppid),
      takeUntil(overdue),
      finalize(() => loop.exit(0)),
    ),
  );
  // A thread that the user database does not answer would keep the process from ending.
  if (lookups.busy) exitAtOnce(code);
  return code;
}

/** Throws UsageError unless exactly one listening stream socket was passed. */
function takeSocket(): Fd {
  const passed = listenFds();
  const [first] = passed;
  if (first !== undefined && passed.length === 1 && isListeningUnixStream(first.fd.number)) return first.fd;
  for (const { fd } of passed) fd.close();
  throw new UsageError(
    `one listening AF_UNIX stream socket must be passed, LISTEN_FDS passed ${passed.length} descriptors`,
  );
}

function report(event: ServerEvent, log: Log): void {
  if (event.type === 'exhausted')
    log.warning('out of descriptors or memory, no connections are accepted for now', event.error);
  if (event.type === 'failed') log.warning(`${event.method ?? 'a connection'} failed`, event.error);
}
