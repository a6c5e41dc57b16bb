import { renameSync, rmSync } from 'node:fs';
import { addressOf, cBytes, Fd } from '@sdrx/linux';
import { BPF_OBJ_GET, BPF_OBJ_PIN, bpf, bpfAttributes } from './bpf-call.js';

/**
 * Gives a map, program or link a name in a BPF file system, which keeps it in the kernel when all descriptors are closed. What
 * had the name before is replaced in one step. bpf(2) BPF_OBJ_PIN.
 * @param path without a dot in the last name, which the kernel does not allow
 * @throws ENOENT, EACCES, EPERM on other file systems, and EINVAL for a path with a NUL in it
 */
export function pin(fd: number, path: string): void {
  const temporary = `${path}_new`;
  const name = cBytes(temporary, 'OBJ_PIN');
  rmSync(temporary, { force: true });
  const attributes = bpfAttributes();
  attributes.writeBigUInt64LE(addressOf(name), 0);
  attributes.writeInt32LE(fd, 8);
  bpf(BPF_OBJ_PIN, attributes, 'OBJ_PIN', temporary);
  renameSync(temporary, path);
}

/** Opens what is pinned. bpf(2) BPF_OBJ_GET. @throws ENOENT, EACCES, and EINVAL or EACCES for another kind of file */
export function openPinned(path: string): Fd {
  const name = cBytes(path, 'OBJ_GET');
  const attributes = bpfAttributes();
  attributes.writeBigUInt64LE(addressOf(name), 0);
  return new Fd(bpf(BPF_OBJ_GET, attributes, 'OBJ_GET', path));
}
