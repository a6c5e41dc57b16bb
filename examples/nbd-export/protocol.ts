/*
 * The numbers of the NBD protocol. https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */

/** 'NBDMAGIC' */
export const GREETING_MAGIC = 0x4e42_444d_4147_4943n;
/** 'IHAVEOPT' */
export const OPTION_MAGIC = 0x4948_4156_454f_5054n;
export const OPTION_REPLY_MAGIC = 0x0003_e889_0455_65a9n;
export const REQUEST_MAGIC = 0x2560_9513;
export const SIMPLE_REPLY_MAGIC = 0x6744_6698;
export const STRUCTURED_REPLY_MAGIC = 0x668e_33ef;

/** Of the handshake, and those of a client, which have the same bits. */
export const HandshakeFlag = { fixedNewstyle: 1 << 0, noZeroes: 1 << 1 } as const;

/** What an export can. */
export const ExportFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  dontFragment: 1 << 7,
  multiConn: 1 << 8,
} as const;

export const Option = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const OptionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 2 ** 31 + 1,
  invalid: 2 ** 31 + 3,
} as const;

/** What INFO and GO tell of an export. */
export const Info = { export: 0, blockSize: 3 } as const;

export const Command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6, blockStatus: 7 } as const;

export const CommandFlag = { fua: 1 << 0, noHole: 1 << 1, dontFragment: 1 << 2, oneExtent: 1 << 3 } as const;

/** Of a structured reply; each of ours has one chunk, its last. */
export const CHUNK_DONE = 1 << 0;
export const Chunk = { data: 1, blockStatus: 5, error: 2 ** 15 + 1 } as const;

/** Of the metadata context `base:allocation`. */
export const ExtentFlag = { hole: 1 << 0, zero: 1 << 1 } as const;

/** What goes wrong with a request; the protocol has its own numbers, which are Linux's. */
export const RequestErrno = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
} as const;

/** The longest that is read or written at a time, in bytes. */
export const LONGEST_PAYLOAD = 32 * 1024 * 1024;

/** A client that does not keep to the protocol. It is left. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}
