import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { checkArray, checkObject, checkText } from '@sdrx/linux';
import { messageOf } from '../service/message-of.js';
import { RestartError } from './restart-error.js';

/** A program as it is started: not what runs now, but what lies at its path by then. */
export interface RestartProgram {
  /** A path, or a name that is looked for along PATH. */
  readonly file: string;
  /** The arguments after the program's name. */
  readonly args: readonly string[];
}

/** @throws TypeError for what is none */
export function checkRestartProgram(name: string, program: RestartProgram): void {
  checkObject(name, program);
  checkText(`${name}.file`, program.file);
  checkArray(`${name}.args`, program.args, checkText);
}

/** How this process was started: Node, its options, the script and its arguments. */
export function ownProgram(): RestartProgram {
  const [, script, ...args] = process.argv;
  // An executable that holds its script has itself in that place, too.
  if (script === process.execPath) return { file: process.execPath, args };
  return { file: process.execPath, args: [...process.execArgv, ...(script === undefined ? [] : [script]), ...args] };
}

/**
 * @throws RestartError for a program that is not there, or whose script is not: better told now than by its early end
 */
export function checkProgram({ file, args }: RestartProgram): void {
  const script = process.argv[1];
  try {
    if (file.includes('/')) accessSync(file, constants.X_OK);
    if (file !== process.execPath || script === file) return;
    if (script === undefined) throw new Error('this process runs no script');
    // As Node finds it, with or without an extension.
    if (args.includes(script)) accessSync(createRequire(import.meta.url).resolve(script), constants.R_OK);
  } catch (error) {
    throw new RestartError('program', messageOf(error), { cause: error });
  }
}
