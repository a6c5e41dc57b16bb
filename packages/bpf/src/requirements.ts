import { existsSync, statfsSync } from 'node:fs';
import { BpfError } from './bpf-error.js';
import { hasBpfLsm } from './lsm.js';

const BPF_FS_MAGIC = 0xcafe4a11;

/** @throws BpfError with ERR_BPF_OBJECT */
export function requireObject(object: string): void {
  if (existsSync(object)) return;
  throw new BpfError('ERR_BPF_OBJECT', `${object} is missing: it is made by the build where clang is installed`);
}

/** @throws BpfError with ERR_BPF_LSM */
export function requireLsm(): void {
  const active = hasBpfLsm();
  if (active === true) return;
  const reason =
    active === false
      ? "the kernel's active security modules lack bpf: add it to lsm= on the kernel's command line"
      : 'the kernel does not tell its security modules: securityfs must be mounted at /sys/kernel/security';
  throw new BpfError('ERR_BPF_LSM', reason);
}

/** @throws BpfError with ERR_BPF_FILE_SYSTEM */
export function requireBpfFileSystem(directory: string): void {
  let folder = directory;
  while (!existsSync(folder)) folder = folder.slice(0, folder.lastIndexOf('/')) || '/';
  if (statfsSync(folder).type === BPF_FS_MAGIC) return;
  throw new BpfError(
    'ERR_BPF_FILE_SYSTEM',
    `${folder} is no BPF file system, nothing can be pinned in ${directory}: mount -t bpf bpf /sys/fs/bpf`,
  );
}
