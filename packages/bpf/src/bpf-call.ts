import { addressOf, allocate, check, libc } from '@sdrx/linux';

/** Commands of bpf(2), by their number. */
export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_MAP_DELETE_ELEM = 3;
export const BPF_MAP_GET_NEXT_KEY = 4;
export const BPF_OBJ_PIN = 6;
export const BPF_OBJ_GET = 7;
export const BPF_PROG_TEST_RUN = 10;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_MAP_GET_FD_BY_ID = 14;
export const BPF_OBJ_GET_INFO_BY_FD = 15;
export const BPF_MAP_DELETE_BATCH = 27;

const BPF = process.arch === 'arm64' ? 280 : 321;

/** As much of `union bpf_attr` as is used; the rest counts as zero. */
const ATTRIBUTES_SIZE = 64;

const syscall = libc<(number: number, command: number, attributes: Uint8Array, size: number) => number>(
  'long syscall(long, int, void *, uint)',
);

/**
 * bpf(2) with all its arguments in `attributes`.
 * @returns what the call returned, −1 if it failed, with the reason in errno
 */
export function tryBpf(command: number, attributes: Uint8Array): number {
  return syscall(BPF, command, attributes, attributes.byteLength);
}

/** The same, called by the name `call` on `subject`; throws SystemError if it fails. */
export function bpf(command: number, attributes: Uint8Array, call: string, subject?: string | number): number {
  return check(tryBpf(command, attributes), `bpf(${call})`, subject);
}

/** Empty arguments of bpf(2). */
export function bpfAttributes(): Buffer {
  return allocate(ATTRIBUTES_SIZE);
}

/** What the kernel knows of a map, program or link, as the struct of its kind; `size` is at most what the struct has. */
export function bpfInfo(fd: number, size: number, prepare?: (info: Buffer) => void): Buffer {
  const info = allocate(size);
  prepare?.(info);
  const attributes = bpfAttributes();
  attributes.writeInt32LE(fd, 0);
  attributes.writeUInt32LE(size, 4);
  attributes.writeBigUInt64LE(addressOf(info), 8);
  bpf(BPF_OBJ_GET_INFO_BY_FD, attributes, 'OBJ_GET_INFO_BY_FD', fd);
  return info;
}

/** The name of a map or program in its struct of information: 16 bytes at most, the last one a NUL. */
export function bpfName(info: Buffer, offset: number): string {
  const end = info.indexOf(0, offset);
  return info.toString('latin1', offset, end);
}
