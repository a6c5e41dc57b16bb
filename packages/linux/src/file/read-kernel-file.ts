import { checkChoice, checkText } from '../arguments.js';
import { read } from '../fd/fd.js';
import { openFile } from './open-file.js';

const buffer = Buffer.alloc(4096);

/**
 * Reads a file of the kernel's, in /proc say, whole. Unlike Node's readFileSync it does not ask for the size, which such a file
 * has not, and has closed it also when that fails.
 * @param encoding where there may be more than ASCII in it
 * @throws what open(2) and read(2) do
 */
export function readKernelFile(path: string, encoding: 'latin1' | 'utf8' = 'latin1'): string {
  checkText('path', path);
  checkChoice('encoding', encoding, ['latin1', 'utf8']);
  using file = openFile(path);
  let text = '';
  for (;;) {
    const count = read(file.number, buffer) ?? 0;
    if (count === 0) return encoding === 'latin1' ? text : Buffer.from(text, 'latin1').toString(encoding);
    text += buffer.toString('latin1', 0, count);
  }
}
