export { LeftOverError } from './left-over-error.js';
export { type CompleteMarble, type ErrorMarble, type Marble, marbles, type NextMarble } from './marbles.js';
export { play } from './play.js';
export { record } from './record.js';
export { ServiceFailureError } from './service-failure-error.js';
export type { VirtualChild } from './virtual-children.js';
export type { VirtualDescriptor, VirtualDescriptorOptions } from './virtual-descriptors.js';
export type { VirtualDirectory, VirtualFile } from './virtual-directory.js';
export type { StoredFd } from './virtual-fd-store.js';
export type { VirtualFileEvent } from './virtual-files.js';
export { VirtualLoop, type VirtualLoopOptions } from './virtual-loop.js';
export type {
  StallOptions,
  VirtualNotification,
  VirtualServiceManager,
  VirtualServiceManagerOptions,
} from './virtual-service-manager.js';
export type { VirtualSignalInfo } from './virtual-signals.js';
export type { UnitState } from './virtual-unit.js';
