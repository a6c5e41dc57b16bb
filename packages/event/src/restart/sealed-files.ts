import { fstatSync, readFileSync } from 'node:fs';
import { type Fd, isSealed, openFile, sealedFile } from '@sdrx/linux';

/** The longest text that is read, in bytes. */
const LONGEST = 256 * 1024 * 1024;

/** Files in memory that nobody can change any more. memfd_create(2) */
export interface SealedFiles {
  /** Makes one with a text in it. @throws EMFILE, ENFILE, ENOMEM, ENOSPC */
  seal(name: string, text: string): Fd;
  /**
   * Reads one.
   * @throws TypeError for a file that is not sealed, whose writer could change it meanwhile, RangeError for one that is too long, EMFILE
   */
  readSealed(name: string, fd: Fd): string;
}

/** Those of Linux. */
export const linuxSealedFiles: SealedFiles = {
  seal: (name, text) => sealedFile(name, Buffer.from(text)),
  readSealed: (name, fd) => {
    if (!isSealed(fd.number)) throw new TypeError(`${name} must be in a sealed file in memory`);
    const { size } = fstatSync(fd.number);
    if (size > LONGEST) throw new RangeError(`${name} must have at most ${LONGEST} bytes, not ${size}`);
    // Opened anew, from its beginning: the writer's offset is shared.
    using file = openFile(`/proc/self/fd/${fd.number}`);
    return readFileSync(file.number, 'utf8');
  },
};
