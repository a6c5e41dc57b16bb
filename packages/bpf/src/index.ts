export { BpfError, type BpfErrorCode } from './bpf-error.js';
export { BpfLink } from './bpf-link.js';
export {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_RINGBUF,
  BpfMap,
  type BpfMapOptions,
} from './bpf-map.js';
export { type BpfMapSettings, BpfObject, type BpfObjectOptions } from './bpf-object.js';
export { BpfProgram, type BpfRun } from './bpf-program.js';
export { readDeadNamespaces } from './dead-namespaces.js';
export { type InstallOptions, installUsernsRestrict } from './install.js';
export type { BpfLog } from './log.js';
export { hasBpfLsm } from './lsm.js';
export { type OpenOptions, openUsernsRestrict } from './open.js';
export { type PeekedRecords, RingBuffer } from './ring-buffer.js';
export { Unrestricted } from './unrestricted.js';
export type { InstalledUsernsRestrict, UsernsRestrict } from './userns-restrict.js';
