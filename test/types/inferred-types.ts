/** What a caller's compiler knows without being told. Never run: the build fails if it is otherwise. */
import {
  type ChildExit,
  type EventLoop,
  exitOnSignal,
  fdStoreLimit,
  type InotifyEvent,
  type IoEvent,
  type JournalLogger,
  journal,
  listenFds,
  notify,
  notifyBarrier,
  openSockets,
  type PassedFd,
  PassedFds,
  type ReloadOutcome,
  reloading,
  runService,
  type ServiceResult,
  type ServiceSocket,
  serviceEnvironment,
  storeFds,
  type TimeEvent,
  watchdog,
  watchFile,
} from '@sdrx/event';
import { type ChildChange, EPOLLIN, Fd, pidfdOpen, type SignalInfo, spawn } from '@sdrx/linux';
import { type Observable, of } from 'rxjs';

/** `true` if the types are the same, which assignability both ways would not show (think of `any`). */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if `value` has exactly the type `Expected`. */
function isExactly<Expected>(): <Actual>(
  value: Actual,
  ...same: Same<Actual, Expected> extends true ? [] : [never]
) => void {
  return () => undefined;
}

export function sources(loop: EventLoop): void {
  isExactly<Observable<IoEvent>>()(loop.io(0));
  isExactly<Observable<IoEvent>>()(loop.io(new Fd(0), { events: of(EPOLLIN), own: true }));
  isExactly<Observable<TimeEvent>>()(loop.time({ after: 1 }));
  isExactly<Observable<SignalInfo>>()(loop.signal('SIGRTMIN+18'));
  isExactly<Observable<ChildExit>>()(loop.child(1));
  isExactly<Observable<ChildExit>>()(loop.child(spawn('true'), { own: true }));
  isExactly<Observable<ChildExit>>()(loop.child(pidfdOpen(1), { stopped: false }));
  isExactly<Observable<ChildChange>>()(loop.child(1, { stopped: true }));
  isExactly<Observable<ChildChange>>()(loop.child(1, { continued: true }));
  isExactly<Observable<InotifyEvent>>()(loop.inotify('/etc'));
  isExactly<Observable<void>>()(loop.defer({ priority: of(1, 2), prepare: () => undefined }));
  isExactly<Observable<void>>()(loop.post({ ratelimit: { interval: 1000, burst: 1, leave: of('any') } }));
  isExactly<Observable<void>>()(loop.exiting());
  isExactly<Observable<void>>()(loop.memoryPressure());
}

export function events(
  io: IoEvent,
  time: TimeEvent,
  signal: SignalInfo,
  exit: ChildExit,
  change: ChildChange,
  file: InotifyEvent,
): void {
  isExactly<number[]>()([io.fd, io.revents]);
  isExactly<'realtime' | 'monotonic' | 'boottime' | 'realtime-alarm' | 'boottime-alarm'>()(time.clock);
  isExactly<number[]>()([time.scheduled, time.now]);
  isExactly<number[]>()([signal.signo, signal.code, signal.pid, signal.uid, signal.value]);
  isExactly<'exited' | 'killed' | 'dumped'>()(exit.code);
  isExactly<number[]>()([exit.pid, exit.status]);
  isExactly<'exited' | 'killed' | 'dumped' | 'trapped' | 'stopped' | 'continued'>()(change.code);
  isExactly<string>()(file.name);
}

export function loopItself(loop: EventLoop, program: Observable<string>): void {
  isExactly<Promise<number>>()(loop.run(program));
  isExactly<void>()(loop.exit());
  isExactly<number>()(loop.now('boottime'));
  isExactly<number>()(loop.iteration);
  isExactly<'initial' | 'preparing' | 'armed' | 'pending' | 'running' | 'exiting' | 'finished'>()(loop.state);
}

export function service(loop: EventLoop): void {
  isExactly<boolean>()(notify({ READY: 1, STATUS: 'serving' }));
  isExactly<Observable<void>>()(notifyBarrier(loop));
  isExactly<Observable<number>>()(watchdog(loop));
  isExactly<Observable<SignalInfo>>()(exitOnSignal(loop));
  isExactly<PassedFd[]>()(listenFds());
  isExactly<PassedFd[]>()(listenFds(process.env, { nonBlocking: false }));
  isExactly<boolean>()(new PassedFds().activated);
  isExactly<boolean>()(storeFds('state', [3], { poll: false }));
  isExactly<number | undefined>()(fdStoreLimit());
  isExactly<Observable<void>>()(watchFile(loop, '/etc/service.json'));
  const { credentials, directories, unit, result } = serviceEnvironment();
  isExactly<readonly string[]>()(directories.state);
  isExactly<string | undefined>()(unit);
  isExactly<ServiceResult | undefined>()(result);
  isExactly<Observable<Buffer | undefined> | undefined>()(credentials?.watch(loop, 'key'));
  isExactly<JournalLogger>()(journal.child({ DOOR: 'front', KNOCKS: 3n, WHO: ['you', Buffer.alloc(1)] }));
  journal.err('failed', { error: 'whatever', DOOR: undefined });
  isExactly<Observable<ReloadOutcome>>()(reloading(loop, async () => 5));
  notify({ MAINPIDFDID: 1n, NOTIFYACCESS: 'all', X_OWN: 'text' });
}

export function sockets(optional: boolean): void {
  const opened = openSockets({
    plain: 'tcp:127.0.0.1:0',
    own: { address: 'unix:/run/own', mode: 0o600 },
    passedOnly: { type: 'datagram' },
    perhaps: { address: 'tcp:127.0.0.1:0', optional: true },
    unknown: { address: 'tcp:127.0.0.1:0', optional },
    surely: { address: 'tcp:127.0.0.1:0', optional: false },
    several: { several: true, optional: true },
  });
  isExactly<ServiceSocket>()(opened.plain);
  isExactly<ServiceSocket>()(opened.own);
  isExactly<ServiceSocket | undefined>()(opened.passedOnly);
  isExactly<ServiceSocket | undefined>()(opened.perhaps);
  isExactly<ServiceSocket | undefined>()(opened.unknown);
  isExactly<ServiceSocket>()(opened.surely);
  isExactly<readonly ServiceSocket[]>()(opened.several);
  const status = runService({ sockets: { web: 'tcp:127.0.0.1:0', admin: { optional: true } } }, (service) => {
    isExactly<ServiceSocket>()(service.sockets.web);
    isExactly<ServiceSocket | undefined>()(service.sockets.admin);
    isExactly<unknown>()(service.state);
    isExactly<Promise<number | undefined>>()(service.restart());
    // @ts-expect-error: none of that name is declared
    service.sockets.other;
  });
  isExactly<Promise<number>>()(status);
}
