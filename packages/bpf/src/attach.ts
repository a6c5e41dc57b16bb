import { rmSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';
import { BpfError } from './bpf-error.js';
import { BpfLink } from './bpf-link.js';
import type { BpfObject } from './bpf-object.js';
import type { BpfProgram } from './bpf-program.js';
import type { BpfLog } from './log.js';
import type { Place } from './restrict-maps.js';

/** The security hooks that systemd-nsresourced has, too, by their names also those of programs and pins. */
const SHARED_HOOKS = [
  'path_chown',
  'path_mkdir',
  'path_mknod',
  'path_symlink',
  'path_link',
  'sb_kern_mount',
  'task_fix_setgroups',
];

/** Those that are ours alone. */
const OWN_HOOKS = ['file_open', 'path_rename'];

/** How the death of namespaces can be told, the best first. */
const DEATHS = [
  { program: 'sdrx_fentry_retire', means: 'fentry', at: 'retire_userns_sysctls' },
  { program: 'sdrx_kprobe_retire', means: 'kprobe', at: 'retire_userns_sysctls' },
  { program: 'sdrx_fentry_free', means: 'fentry', at: 'free_user_ns' },
  { program: 'sdrx_kprobe_free', means: 'kprobe', at: 'free_user_ns' },
];

/** Of the programs in the kernel those are ours. */
const PREFIX = 'sdrx_';

/** The names of the programs that are attached to security hooks. */
export const HOOK_PROGRAMS = [...SHARED_HOOKS, ...OWN_HOOKS].map((hook) => PREFIX + hook);

/** Attaches `HOOK_PROGRAMS` and pins them. @throws BpfError */
export function attachHooks(object: BpfObject, { shared, own }: Place, log: BpfLog): void {
  for (const hook of SHARED_HOOKS) attach(object, PREFIX + hook, `${shared}/programs/${hook}`, log);
  for (const hook of OWN_HOOKS) attach(object, PREFIX + hook, `${own}/programs/${hook}`, log);
}

/**
 * Attaches to the death of namespaces by the first means that works.
 * @param load loads one program
 * @returns which means that is
 * @throws the last one's BpfError
 */
export function attachDeaths(load: (program: string) => BpfObject, { shared }: Place, log: BpfLog): string {
  const folder = `${shared}/programs`;
  let reason: unknown;
  for (const { program, means, at } of DEATHS) {
    try {
      using object = load(program);
      attach(object, program, `${folder}/${at}`, log);
      // Two that tell would tell everything twice.
      for (const other of DEATHS) if (other.at !== at) rmSync(`${folder}/${other.at}`, { force: true });
      log('info', `userns-restrict: told of dead namespaces by ${means} ${at}`);
      return `${means} ${at}`;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      log('debug', error.message);
      reason = error;
    }
  }
  throw reason;
}

/** Attaches a program and pins it, unless that was done before; what is pinned there goes when the new one works. */
function attach(object: BpfObject, name: string, path: string, log: BpfLog): void {
  const hook = path.slice(path.lastIndexOf('/') + 1);
  using before = pinnedProgram(path);
  if (before !== undefined && isSame(before, object.program(name))) {
    log('debug', `userns-restrict: ${hook} is attached already`);
    return;
  }
  object.attach(name).pin(path);
  if (before === undefined) log('info', `userns-restrict: ${hook} attached`);
  else if (before.name.startsWith(PREFIX))
    log('info', `userns-restrict: ${hook} attached instead of another release's`);
  else log('notice', `userns-restrict: ${hook} attached, taken over from the program '${before.name}'`);
}

/** Whether one does the same as the other, on the same maps. */
function isSame(before: BpfProgram, program: BpfProgram): boolean {
  const mapsOf = (one: BpfProgram) => String(one.maps().sort((a, b) => a - b));
  return before.type === program.type && before.tag === program.tag && mapsOf(before) === mapsOf(program);
}

/** The program whose link is pinned at `path`; undefined if there is none. */
function pinnedProgram(path: string): BpfProgram | undefined {
  try {
    using link = BpfLink.openPinned(path);
    return link.program();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
