import { type Fd, wrongKind } from '@sdrx/linux';
import type { SealedFiles } from './sealed-files.js';

/**
 * Puts a value as JSON in a file in memory that nobody can change any more.
 * @throws TypeError for what JSON does not know
 */
export function sealValue(files: SealedFiles, name: string, value: unknown): Fd {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw wrongKind(name, 'a value that JSON knows', value);
  return files.seal(name, text);
}

/**
 * Reads it.
 * @throws TypeError for a file that is not sealed, whose writer could change it meanwhile, SyntaxError for what is no JSON
 */
export function readSealedValue(files: SealedFiles, name: string, fd: Fd): unknown {
  return JSON.parse(files.readSealed(name, fd));
}
