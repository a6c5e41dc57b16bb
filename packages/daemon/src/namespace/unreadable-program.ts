import { fchmodSync, openSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { Fd, isSystemError, memoryFile, O_PATH } from '@sdrx/linux';

/** A program that copies its input to its output, and ends when the input does. */
export interface CopyProgram {
  /** A copy of it in memory, which may be executed but not read. */
  readonly file: Fd;
  /** What it is called with. */
  readonly args: readonly string[];
}

/** cat(1), or the shell where cat(1) is one of many programs in one file, which goes by the name that it is called by. */
const CAT = { path: '/bin/cat', name: 'cat', args: [] };
const SHELL = { path: '/bin/sh', args: ['-c', 'while read -r line; do echo "$line"; done'] };

let program: CopyProgram | undefined;

/**
 * The program that runs within namespaces. Outside it still is root, but inside the namespace's owner has every right over it:
 * with ptrace(2) that user could make it do what root may do with files. The kernel protects a process whose program its user
 * may not read. execve(2)
 */
export function unreadableProgram(): CopyProgram {
  program ??= make();
  return program;
}

function make(): CopyProgram {
  const { path, args } = isAlone(CAT.path, CAT.name) ? CAT : SHELL;
  using file = memoryFile('cat');
  // Node leaves a file open that it opened itself if it can't tell its size.
  using source = new Fd(openSync(path, 'r'));
  writeFileSync(file.number, readFileSync(source.number));
  fchmodSync(file.number, 0o111);
  // Not the descriptor that wrote it: a file that is open for writing can't be executed.
  return { file: new Fd(openSync(`/proc/self/fd/${file.number}`, O_PATH)), args };
}

/** Whether a program has a file to itself: not a link to one of another name, nor one of several names of a file. */
function isAlone(path: string, name: string): boolean {
  try {
    const real = realpathSync(path);
    return real.endsWith(`/${name}`) && statSync(real).nlink === 1;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}
