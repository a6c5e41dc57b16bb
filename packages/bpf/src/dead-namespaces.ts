import { EIO, SystemError } from '@sdrx/linux';

/**
 * Reads a record of the ring buffer: the inodes of namespaces that died, 32 bits each in the machine's byte order.
 * Throws EIO if the record is no multiple of 4 bytes.
 */
export function readDeadNamespaces(record: Uint8Array): number[] {
  if (record.byteLength % 4 !== 0) throw new SystemError(EIO, 'ring_buffer', `record of ${record.byteLength} bytes`);
  // A copy: the record lies anywhere in memory, numbers of 32 bits do not.
  return Array.from(new Uint32Array(record.slice().buffer));
}
