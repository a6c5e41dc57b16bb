import { fstatSync, readFileSync } from 'node:fs';
import { type Fd, isSealed, openFile, sealedFile, wrongKind } from '@sdrx/linux';

/** The longest value that is read, in bytes. */
const LONGEST = 256 * 1024 * 1024;

/**
 * Puts a value as JSON in a file in memory that nobody can change any more.
 * @throws TypeError for what JSON does not know
 */
export function sealValue(name: string, value: unknown): Fd {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw wrongKind(name, 'a value that JSON knows', value);
  return sealedFile(name, Buffer.from(text));
}

/**
 * Reads it.
 * @throws TypeError for a file that is not sealed, whose writer could change it meanwhile, SyntaxError for what is no JSON
 */
export function readSealedValue(name: string, fd: Fd): unknown {
  if (!isSealed(fd.number)) throw new TypeError(`${name} must be in a sealed file in memory`);
  const { size } = fstatSync(fd.number);
  if (size > LONGEST) throw new RangeError(`${name} must have at most ${LONGEST} bytes, not ${size}`);
  // Opened anew, from its beginning: the writer's offset is shared.
  using file = openFile(`/proc/self/fd/${fd.number}`);
  return JSON.parse(readFileSync(file.number, 'utf8'));
}
