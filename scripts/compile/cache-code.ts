import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/*
 * Writes what V8 makes of a program's code, for this release of Node, beside it: node cache-code.js FILE. All functions are compiled, not
 * only those that are called at once. A process of its own: a V8 whose options have changed refuses what others have made.
 */

const [, , file = ''] = process.argv;
setFlagsFromString('--no-lazy');
const script = new Script(readFileSync(file, 'latin1'), { filename: file });
setFlagsFromString('--lazy');
writeFileSync(`${file}.${process.version}-${process.arch}`, script.createCachedData());
