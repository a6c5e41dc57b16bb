import { openUsernsRestrict } from '@sdrx/bpf';
import { EventLoop, listenFds } from '@sdrx/event';
import { exitAtOnce, type Fd, isListeningUnixStream, isNeverFlushed, type PeerCredentials } from '@sdrx/linux';
import { type ServeLimits, type ServerEvent, serve, service } from '@sdrx/varlink';
import { defer, EMPTY, finalize, map, merge, mergeMap, Subject, share, take, takeUntil, tap } from 'rxjs';
import { SystemBus } from '../dbus/system-bus.js';
import { limitCalls } from '../limits/limit-calls.js';
import type { Limits } from '../limits/limits.js';
import { workerQuotas } from '../limits/worker-quotas.js';
import { methods } from '../methods/index.js';
import { CallLedger } from '../metrics/call-ledger.js';
import { countCalls, countEvent } from '../metrics/count-calls.js';
import { HelperLauncher } from '../namespace/helper-launcher.js';
import { type Restriction, setUpRestriction } from '../namespace/restriction.js';
import { Authority } from '../polkit/authority.js';
import { ABOUT_SERVICE } from '../program/about-service.js';
import { ignoreLateSignals } from '../program/late-signals.js';
import type { Log } from '../program/log.js';
import { MemoryAtRest } from '../program/memory-at-rest.js';
import { about } from '../program/message-ids.js';
import { signalCommands } from '../program/signal-commands.js';
import { surviveErrors } from '../program/survive-errors.js';
import { UsageError } from '../program/usage-error.js';
import { Registry } from '../registry/registry.js';
import { controlInterface } from '../service/control-interface.js';
import { Accounts } from '../user/account.js';
import { NameLookups } from '../user/name-lookups.js';
import { callForHelp } from './call-for-help.js';
import { IdleTimer } from './idle-timer.js';
import { SignOfLife } from './sign-of-life.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** After this time a worker ends, so that what one may hoard is bounded; milliseconds. */
const LIFETIME = 300_000;

/** A dynamic worker ends after this time without work, in milliseconds. */
const IDLE_LIFETIME = 90_000;

/** How late these may be, in milliseconds. */
const ACCURACY = 1000;

/**
 * How long what has been begun may take once the worker is to end, in milliseconds. When its manager gives way to another one
 * (SIGHUP), nobody waits for its end, and calls may take as long as they always may, and this beside.
 */
const DRAIN_TIMEOUT = 4000;

export interface WorkerSettings extends WorkerEnvironment {
  readonly runtimeDirectory: string;
  readonly restriction: Restriction;
  /** Its slot in the manager's ledger, if it has one. */
  readonly slot: number | undefined;
  readonly limits: Limits;
  readonly log: Log;
}

/**
 * Serves the passed socket until old age, for want of work, SIGTERM or SIGHUP, and finishes what it has begun.
 * @returns the exit code
 */
export async function runWorker(settings: WorkerSettings): Promise<number> {
  const { runtimeDirectory, restriction, api, fixed, busAddresses, limits, log } = settings;
  using socket = takeSocket();
  using loop = new EventLoop();
  using registry = Registry.open(runtimeDirectory);
  const { restrict, liveness } = api
    ? setUpRestriction(restriction, runtimeDirectory, log, openUsernsRestrict)
    : { restrict: undefined, liveness: undefined };
  using launcher = new HelperLauncher(loop);
  // Before there are clients, whose descriptors it would have copies of.
  if (restrict !== undefined) launcher.start();
  using bus = new SystemBus(loop, busAddresses);
  const authority = new Authority(bus, log);
  const lookups = new NameLookups(limits.callTime);
  const accounts = new Accounts(registry);
  const { slot, connections, calls, helpers, bars } = workerQuotas(
    runtimeDirectory,
    settings.slot,
    limits,
    accounts,
    log,
  );
  const sign = slot && new SignOfLife(loop, slot);
  using counter = slot && CallLedger.open(runtimeDirectory, process.ppid, slot.slot);
  const served = service(
    ABOUT_SERVICE,
    ...methods({ loop, registry, restrict, liveness, log, limits, accounts, authority, launcher, helpers, lookups }),
    controlInterface(runtimeDirectory, log),
  );
  const idle = new IdleTimer(loop, IDLE_LIFETIME, ACCURACY);
  const memory = new MemoryAtRest(loop);
  const broken = new Subject<void>();
  using _errors = surviveErrors(log, () => broken.next());
  const toEnd = merge(
    broken,
    loop.signal('SIGTERM'),
    loop.signal('SIGINT'),
    loop.time({ after: LIFETIME, accuracy: ACCURACY, description: 'lifetime' }),
    fixed ? EMPTY : idle.elapsed,
  ).pipe(
    take(1),
    map(() => DRAIN_TIMEOUT),
  );
  const toGiveWay = loop.signal('SIGHUP').pipe(
    take(1),
    map(() => limits.callTime + DRAIN_TIMEOUT),
  );
  const ending = merge(toEnd, toGiveWay).pipe(share());
  const drain = ending.pipe(
    take(1),
    tap(() => sign?.drain()),
  );
  const overdue = ending.pipe(mergeMap((after) => loop.time({ after, description: 'drain' })));
  const admit = connections && (({ uid }: PeerCredentials) => connections.take(uid));
  const options = {
    drain,
    exclusive: true,
    limits: {
      ...serveLimits(limits),
      // These are counted over all workers, if they can be.
      ...(connections && { connections: Number.POSITIVE_INFINITY, connectionsPerUser: Number.POSITIVE_INFINITY }),
    },
    account: ({ uid }: PeerCredentials) => accounts.of(uid),
    holdFd: isNeverFlushed,
    ...(admit && { admit }),
    ...(bars && { bars }),
  };
  let stuck = false;
  const serving = serve(
    loop,
    limitCalls(counter === undefined ? served : countCalls(served, counter), calls),
    socket.number,
    options,
  ).pipe(
    tap((event) => {
      idle.restart();
      memory.tell();
      sign?.tell(event);
      if (counter !== undefined) countEvent(event, counter);
      if (event.type === 'stuck') stuck = true;
    }),
    tap((event) => report(event, log)),
    callForHelp(loop, process.ppid),
    takeUntil(overdue),
    finalize(() => loop.exit(0)),
  );
  // Last: who is told that it serves may send it commands, by a signal that would end it before.
  const told = defer(() => {
    sign?.start();
    return EMPTY;
  });
  const code = await loop.run(merge(signalCommands(loop, log), memory.run, ignoreLateSignals(loop), serving, told));
  // A thread that the user database does not answer, or that closes what can't be closed, would keep the process from ending.
  if (lookups.busy || stuck) exitAtOnce(code);
  return code;
}

/** What the server looks after by itself. */
function serveLimits(limits: Limits): Partial<ServeLimits> {
  const { namespacesPerUser: _1, helpersPerUser: _2, workers: _3, ...served } = limits;
  return served;
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
  switch (event.type) {
    case 'exhausted':
      log.warning('out of descriptors or memory, no connections are accepted for now', event.error);
      break;
    case 'failed':
      log.warning(
        `${event.method ?? 'a connection'} failed`,
        event.error,
        about('callFailed', { VARLINK_METHOD: event.method }),
      );
      break;
    case 'stuck':
      log.warning(
        `a descriptor of user ${event.uid} hangs when it is closed: until nsresourced is started anew the user may pass no more`,
        undefined,
        about('descriptorHangs', { USER_ID: event.uid }),
      );
      break;
    case 'refused':
      // The quotas tell of their own refusals.
      if (event.reason !== 'admit')
        log.notice(
          `user ${event.uid} was refused ${event.count} times, by the limit ${event.reason}`,
          undefined,
          about('clientRefused', { USER_ID: event.uid, LIMIT: event.reason }),
        );
      break;
  }
}
