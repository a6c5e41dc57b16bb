export {
  type Decoded,
  type DecodedValue,
  type Decoder,
  EnvironmentError,
  type NotDecoded,
  readEnvironment,
} from './environment.js';
export { EventLoop } from './loop.js';
export type { LoopState } from './loop-core.js';
export type { RateLimitOptions } from './rate-limit.js';
export { exitOnSignal } from './service/exit-on-signal.js';
export { type IdleOptions, idle } from './service/idle.js';
export * from './service/listen-address.js';
export { listenFds, type PassedFd } from './service/listen-fds.js';
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
export * from './service/open-sockets.js';
export * from './service/passed-fds.js';
export * from './service/scope.js';
export { type DrainHooks, type NodeServer, ServedConnections } from './service/served-connections.js';
export { watchdog, watchdogTimeout } from './service/watchdog.js';
export type { SourceOptions } from './source.js';
export type { Child, ChildExit, ChildExitOptions, ChildOptions } from './sources/child.js';
export type { DeferOptions } from './sources/defer.js';
export type { InotifyEvent, InotifyOptions, InotifyTarget } from './sources/inotify.js';
export type { IoEvent, IoOptions } from './sources/io.js';
export type { MemoryPressureOptions } from './sources/memory-pressure.js';
export type { TimeEvent, TimeOptions, TimerAfter, TimerAt, TimerEvery, TimerOptions } from './sources/time.js';
