import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** What a program's code is: a function of what Node gives a module. */
type Code = (require: NodeJS.Require, module: object, exports: object, file: string, folder: string) => void;

/**
 * Runs a program with what V8 made of its code when it was built, which saves a start half of what it takes beside Node's own. V8
 * refuses what is not of its release, or made with other options, and then compiles the code as usual.
 * @param file the code, ASCII
 * @param load what the code is to load modules by. As `module.codeCache` it finds what V8 has read and needs no more: `discardCode`.
 */
export function startProgram(file: string, load: NodeJS.Require): void {
  const cachedData = cachedCode(file);
  // As UTF-8 there is no Buffer between the file and the text, which would stay in memory until all garbage is collected.
  const script = new Script(readFileSync(file, 'utf8'), { filename: file, ...(cachedData && { cachedData }) });
  const code: Code = script.runInThisContext();
  const module = { exports: {}, codeCache: cachedData };
  code(load, module, module.exports, file, dirname(file));
}

/** V8 tells the code by its length alone, so nothing that is older than the code counts. */
function cachedCode(file: string): Buffer | undefined {
  const cache = `${file}.${process.version}-${process.arch}`;
  const made = statSync(cache, { throwIfNoEntry: false });
  return made !== undefined && made.mtimeMs >= statSync(file).mtimeMs ? readFileSync(cache) : undefined;
}
