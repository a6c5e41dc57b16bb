import { fstatSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';

const STDERR = 2;

/**
 * Whether the journal reads our standard error: JOURNAL_STREAM is the device and the inode of that very file. The variable
 * alone says nothing, as whoever starts us inherits it, too, and may have given us another standard error. systemd.exec(5)
 */
export function isJournalStream(stream = process.env.JOURNAL_STREAM): boolean {
  const [, device, inode] = /^(\d+):(\d+)$/.exec(stream ?? '') ?? [];
  if (device === undefined || inode === undefined) return false;
  try {
    const { dev, ino } = fstatSync(STDERR, { bigint: true });
    return dev === BigInt(device) && ino === BigInt(inode);
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}
