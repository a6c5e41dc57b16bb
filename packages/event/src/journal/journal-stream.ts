import { fstatSync } from 'node:fs';
import { checkFd, checkObject, isSystemError } from '@sdrx/linux';
import { readEnvironment, textDecoder } from '../kernel/environment.js';

/** The file that is the journal's, by which a program can tell whether that reads what it writes. */
export interface JournalStream {
  /** The device that it is on. */
  readonly device: bigint;
  /** Its number there. */
  readonly inode: bigint;
}

const Stream = textDecoder('DEVICE:INODE, two decimal numbers', (text) => {
  const [, device, inode] = /^(\d{1,20}):(\d{1,20})$/.exec(text) ?? [];
  return device === undefined || inode === undefined ? undefined : { device: BigInt(device), inode: BigInt(inode) };
});

/** JOURNAL_STREAM; undefined if it is unset. @throws EnvironmentError if it is malformed */
export function journalStream(environment: NodeJS.ProcessEnv): JournalStream | undefined {
  return readEnvironment(environment, 'JOURNAL_STREAM', Stream);
}

/**
 * Whether the journal reads what is written to a descriptor: JOURNAL_STREAM is the device and the inode of that very file. The
 * variable alone says nothing, as whoever starts us inherits it, too, and may have given us another standard error. A
 * malformed one is nobody's stream. systemd.exec(5)
 * @param fd by default the standard error
 */
export function isJournalStream(fd = 2, environment: NodeJS.ProcessEnv = process.env): boolean {
  checkFd(fd);
  checkObject('environment', environment);
  const decoded = Stream.decode(environment.JOURNAL_STREAM);
  if (decoded._tag === 'Left') return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return dev === decoded.right.device && ino === decoded.right.inode;
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}
