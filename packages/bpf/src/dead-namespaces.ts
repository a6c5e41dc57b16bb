import { checkBytes, EIO, SystemError } from '@sdrx/linux';

/**
 * Reads a record of the ring buffer: the inodes of namespaces that died, 32 bits each in the machine's byte order.
 * @throws EIO if the record is no multiple of 4 bytes
 */
export function readDeadNamespaces(record: Uint8Array): number[] {
  checkBytes('record', record);
  const { buffer, byteOffset, byteLength } = record;
  if (byteLength % 4 !== 0) throw new SystemError(EIO, 'ring_buffer', `record of ${byteLength} bytes`);
  // In the ring records are aligned; elsewhere it takes a copy.
  if (byteOffset % 4 === 0) return Array.from(new Uint32Array(buffer, byteOffset, byteLength / 4));
  return Array.from(new Uint32Array(record.slice().buffer));
}
