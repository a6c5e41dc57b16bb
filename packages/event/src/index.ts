export type { Attachment } from './core/attachment.js';
export type { SourceState } from './core/dispatchable.js';
export type { RateLimitOptions } from './core/rate-limit.js';
export type { LoopState } from './core/scheduler.js';
export type { SourceOptions } from './core/source.js';
export type { SourceHandle } from './core/source-handle.js';
export type {
  Credentials,
  ReadCredentialOptions,
  WatchCredentialOptions,
} from './environment/credentials.js';
export {
  type MonitoredService,
  type RemotePeer,
  type ServiceDirectories,
  type ServiceEnvironment,
  type ServiceResult,
  type ServiceTrigger,
  serviceEnvironment,
} from './environment/service-environment.js';
export { Journal, journal } from './journal/journal.js';
export type { JournalFields, JournalValue } from './journal/journal-fields.js';
export type { JournalLogger } from './journal/journal-logger.js';
export type { JournalEntry, JournalOptions } from './journal/journal-options.js';
export { isJournalStream, type JournalStream } from './journal/journal-stream.js';
export { LOG_LEVELS, type LogLevel } from './journal/log-level.js';
export { type SendJournalEntryOptions, sendJournalEntry } from './journal/send-journal-entry.js';
export { StandardError } from './journal/standard-error.js';
export {
  type Decoded,
  type DecodedValue,
  type Decoder,
  EnvironmentError,
  type NotDecoded,
  readEnvironment,
} from './kernel/environment.js';
export type * from './kernel/kernel.js';
export { EventLoop, type EventLoopOptions } from './loop.js';
export { handOver } from './restart/hand-over.js';
export type { HandOverPlan, RestartPhase } from './restart/hand-over-plan.js';
export type { RestartProgram } from './restart/program.js';
export { RestartError, type RestartRefusal } from './restart/restart-error.js';
export type { RestartSystem, StartedProcess } from './restart/restart-system.js';
export type { SealedFiles } from './restart/sealed-files.js';
export type { Successor } from './restart/successor.js';
export {
  type LastRequest,
  type LastState,
  type LastWords,
  type Predecessor,
  type Succession,
  TakeOverError,
  takeOver,
} from './restart/take-over.js';
export { ConflictError } from './service/conflicts.js';
export { askService, type ControlCommands, ControlError, ControlSocket } from './service/control-socket.js';
export { exitOnSignal } from './service/exit-on-signal.js';
export * from './service/fd-store.js';
export { type IdleOptions, idle } from './service/idle.js';
export type { Later } from './service/later.js';
export * from './service/listen-address.js';
export { ListenFdsError, type ListenFdsOptions, listenFds, type PassedFd } from './service/listen-fds.js';
export {
  type ListenInetOptions,
  type ListeningSocket,
  type ListenUnixOptions,
  listenInet,
  listenUnix,
  type PathOwner,
} from './service/listening-socket.js';
export type { Notification } from './service/notification.js';
export { notify, notifyBarrier } from './service/notify.js';
export { type OpenSocketsOptions, openSockets } from './service/open-sockets.js';
export * from './service/passed-fds.js';
export { PassedSocketsError } from './service/passed-sockets-error.js';
export { PidFile, PidFileError } from './service/pid-file.js';
export * from './service/reloading.js';
export { runService } from './service/run-service.js';
export * from './service/scope.js';
export {
  type DrainHooks,
  type NodeServer,
  ServedConnections,
  type ServeOptions,
} from './service/served-connections.js';
export { type DatagramType, ServedDatagrams } from './service/served-datagrams.js';
export type {
  EndingEvent,
  ReadyEvent,
  RestartedEvent,
  RestartFailedEvent,
  RestartingEvent,
  Service,
  ServiceEvent,
} from './service/service.js';
export type { RestartOptions, ServiceIdleOptions, ServiceOptions } from './service/service-options.js';
export type { HandedSocket, ServiceSocket } from './service/service-socket.js';
export type { OwnedPidFile, ServiceSystem } from './service/service-system.js';
export type { Serving } from './service/serving.js';
export type {
  SocketDeclaration,
  SocketDeclarations,
  SocketOf,
  Sockets,
} from './service/socket-declaration.js';
export { supervise } from './service/supervise.js';
export * from './service/watch-file.js';
export { watchdog, watchdogTimeout } from './service/watchdog.js';
export type { ChildExit, ChildExitOptions, ChildOptions } from './sources/child.js';
export type { DeferOptions } from './sources/defer.js';
export type { InotifyEvent, InotifyOptions, InotifyTarget } from './sources/inotify.js';
export type { IoEvent, IoOptions } from './sources/io.js';
export type { MemoryPressureOptions } from './sources/memory-pressure.js';
export type { TimeEvent, TimeOptions, TimerAfter, TimerAt, TimerEvery, TimerOptions } from './sources/time.js';
export { Backoff, type BackoffOptions } from './supervise/backoff.js';
export { describeSupervision } from './supervise/describe-supervision.js';
export { type Line, LineDecoder, type LineOptions } from './supervise/line-decoder.js';
export type { PipeEnd, ProgramSystem, StartedProgram } from './supervise/program-system.js';
export { StartLimit, type StartLimitOptions } from './supervise/start-limit.js';
export type { Program, StopOptions, SuperviseOptions } from './supervise/supervise-options.js';
export { Supervised } from './supervise/supervised.js';
export * from './supervise/supervision-event.js';
export { type Dispatch, trace } from './trace/trace.js';
export { writeTrace } from './trace/write-trace.js';
