import { existsSync } from 'node:fs';
import {
  CAP_BPF,
  CAP_PERFMON,
  CAP_SYS_ADMIN,
  EACCES,
  ENOENT,
  EPERM,
  hasCapability,
  readKernelFile,
  SystemError,
} from '@sdrx/linux';
import { BpfError } from './bpf-error.js';
import type { LogLine } from './log.js';

const BTF = '/sys/kernel/btf/vmlinux';
const LOCKDOWN = '/sys/kernel/security/lockdown';

/** Why the kernel, or libbpf on its behalf, refused to load or attach `what`. @param errno positive */
export function failure(errno: number, step: 'load' | 'attach', what: string, log: readonly LogLine[]): BpfError {
  const lines = log.filter(({ level }) => level === 'warning').map(({ message }) => message);
  const cause = new SystemError(errno, `bpf ${step}`, what);
  const make = (code: BpfError['code'], reason: string) =>
    new BpfError(code, `${what}: ${reason}, ${cause.code}`, lines, { cause });

  const verifier = lines.map((line) => /BEGIN PROG LOAD LOG --\n(.*?)\n?-- END/s.exec(line)?.[1] ?? '').join('');
  if (/\S/.test(verifier)) {
    // The last line that is no statistics tells what is wrong.
    const [said = ''] = verifier
      .split('\n')
      .filter((line) => line !== '' && !/^processed \d+ insns/.test(line))
      .slice(-1);
    return make('ERR_BPF_VERIFIER', `the kernel's verifier refuses the program (${said.trim()}${lockdownHint()})`);
  }
  if (errno === EPERM || errno === EACCES) return make('ERR_BPF_NOT_PERMITTED', notPermitted());
  if (!existsSync(BTF) && lines.some((line) => line.includes('BTF')))
    return make('ERR_BPF_BTF', `this kernel does not describe its types, ${BTF} is missing (CONFIG_DEBUG_INFO_BTF)`);
  if (step === 'attach' || errno === ENOENT) return make('ERR_BPF_ATTACH', lines.at(-1) ?? 'it can not be attached');
  return make('ERR_BPF_LOAD', lines.at(-1) ?? 'it can not be loaded');
}

/** Which of the things that are needed is missing. */
function notPermitted(): string {
  const missing = Object.entries({ CAP_PERFMON, CAP_BPF }).filter(([, capability]) => !hasCapability(capability));
  // CAP_SYS_ADMIN stands for both.
  if (missing.length > 0 && !hasCapability(CAP_SYS_ADMIN))
    return `not permitted without ${missing.map(([name]) => name).join(' and ')}`;
  return `the kernel's policy does not permit this kind of program, whatever the capabilities${lockdownHint()}`;
}

/** In what state of kernel_lockdown(7) the kernel is, if that forbids anything. */
function lockdownHint(): string {
  try {
    const [, state = 'none'] = /\[(\w+)\]/.exec(readKernelFile(LOCKDOWN)) ?? [];
    return state === 'none' ? '' : `; lockdown is '${state}'`;
  } catch {
    return '';
  }
}
