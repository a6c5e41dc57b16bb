import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { isSystemError, namespaceInode } from '@sdrx/linux';
import { UsageError } from '../program/usage-error.js';
import { ALLOCATE } from './allocate-options.js';
import type { Command } from './command.js';
import { runMountProgram } from './mount-program.js';
import { openNamespaceOf } from './namespace-holder.js';
import { allocateRange, namespaceRequest } from './namespace-request.js';
import { parseOrHelp } from './parse-or-help.js';
import { requireShellPart } from './run.js';

/** `nsresourcectl allocate PATH`; with a command the shell part of nsresourcectl does it. */
export const allocate: Command = {
  name: 'allocate',
  summary: 'Makes a namespace that a bind mount holds, or a descriptor of a command',
  options: ['--name=', '--size=', '--map=', '--fd=', '--runtime-directory='],
  operand: 'file',
  run(args) {
    requireShellPart(args);
    const parsed = parseOrHelp(ALLOCATE, args, [1, 1]);
    if (parsed === undefined) return 0;
    if (parsed.values.fd !== undefined)
      throw new UsageError('--fd is for a command: nsresourcectl allocate --fd=N -- COMMAND');
    const path = resolve(parsed.operands[0] ?? '');
    const holder = spawn('unshare', ['--user', 'sleep', '120'], { stdio: ['ignore', 'ignore', 'inherit'] });
    // That it can't be started is told by its having no process id.
    holder.on('error', () => {});
    try {
      using namespace = openNamespaceOf(requirePid(holder));
      allocateRange(namespaceRequest(parsed.values), namespace.number, 'held', namespaceInode(namespace.number));
      bindMount(`/proc/${requirePid(holder)}/ns/user`, path);
      process.stdout.write(`${path}\n`);
      return 0;
    } finally {
      holder.kill('SIGKILL');
    }
  },
};

function requirePid({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error("unshare(1) can't be started: apt install util-linux");
  return pid;
}

/** Mounts a namespace at a file that is made for that, and removed when it fails. @throws Error */
function bindMount(namespace: string, path: string): void {
  const isNew = makeFile(path);
  const failure = runMountProgram('mount', '--bind', namespace, path);
  if (failure === undefined) return;
  if (isNew) rmSync(path, { force: true });
  const hint = process.getuid?.() === 0 ? '' : '; only root may: take a descriptor, nsresourcectl allocate -- COMMAND';
  throw new Error(`it can't be mounted at ${path}: ${failure}${hint}`);
}

/** @returns false if there was one */
function makeFile(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx', 0o444));
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    throw error;
  }
}
