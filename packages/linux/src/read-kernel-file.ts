import { openSync } from 'node:fs';
import { checkText } from './arguments.js';
import { Fd, read } from './fd.js';

const buffer = Buffer.alloc(4096);

/**
 * Reads a file of the kernel's, in /proc say, whole; ASCII. Unlike Node's readFileSync it does not ask for the size, which such
 * a file has not, and has closed it also when that fails. Throws what open(2) and read(2) do.
 */
export function readKernelFile(path: string): string {
  checkText('path', path);
  using file = new Fd(openSync(path, 'r'));
  let text = '';
  for (;;) {
    const count = read(file.number, buffer) ?? 0;
    if (count === 0) return text;
    text += buffer.toString('latin1', 0, count);
  }
}
