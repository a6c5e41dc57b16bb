import { statfsSync } from 'node:fs';
import { release } from 'node:os';
import { hasBpfLsm } from '@sdrx/bpf';
import { CGROUP2_SUPER_MAGIC, namespaceId, openFile } from '@sdrx/linux';
import koffi from 'koffi';
import { type Finding, finding } from './finding.js';
import { canRead, textOf } from './look.js';

const BPF_FS_MAGIC = 0xcafe4a11;

/** The oldest kernel that all of the restriction was tried with. */
const OLDEST = [6, 1] as const;

/** Kernel functions by which the end of a namespace is told, the best first. */
const HOOKS = ['retire_userns_sysctls', 'free_user_ns'];

/** What the kernel can do: first what everything needs, then what the restriction does, then the rest. */
export function checkKernel(): Finding[] {
  return [
    userNamespaces(),
    kernelRelease(),
    bpfLsm(),
    finding('BTF', canRead('/sys/kernel/btf/vmlinux') && '/sys/kernel/btf/vmlinux', [
      'missing',
      'the kernel does not describe its own structures',
      'use a kernel with CONFIG_DEBUG_INFO_BTF=y',
    ]),
    bpfFileSystem(),
    libbpf(),
    hooks(),
    namespaceIds(),
    finding('memory pressure', canRead('/proc/pressure/memory') && '/proc/pressure/memory', [
      'absent',
      'the daemon is not told when memory is short (PSI)',
      'add psi=1 to the kernel’s command line',
    ]),
    controlGroups(),
  ];
}

function userNamespaces(): Finding {
  const what = 'user namespaces';
  const refused = (detail: string, setting: string): Finding => ({
    what,
    state: 'missing',
    detail,
    remedy: `sysctl ${setting}`,
  });
  const most = textOf('/proc/sys/user/max_user_namespaces');
  if (most === undefined)
    return { what, state: 'missing', detail: 'the kernel has none', remedy: 'use a kernel with CONFIG_USER_NS=y' };
  if (most === '0') return refused('none may be made', 'user.max_user_namespaces=65536');
  if (textOf('/proc/sys/kernel/unprivileged_userns_clone') === '0')
    return refused('only root may make any', 'kernel.unprivileged_userns_clone=1');
  if (textOf('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1')
    return refused(
      'AppArmor takes their rights from users’ namespaces',
      'kernel.apparmor_restrict_unprivileged_userns=0',
    );
  return { what, state: 'ok', detail: `${most} may be made` };
}

function kernelRelease(): Finding {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const isNew = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
  const version = OLDEST.join('.');
  return finding('kernel', isNew && release(), [
    'missing',
    `${release()}: the restriction needs ${version}`,
    `use Linux ${version} or newer`,
  ]);
}

function bpfLsm(): Finding {
  const what = 'BPF security module';
  const active = textOf('/sys/kernel/security/lsm');
  const present = hasBpfLsm();
  if (present === undefined) {
    const remedy = 'mount -t securityfs securityfs /sys/kernel/security';
    return { what, state: 'unknown', detail: 'the kernel does not tell', remedy };
  }
  return finding(what, present && (active ?? 'active'), [
    'missing',
    'not active: nothing can restrict namespaces',
    `add lsm=${active ?? '…'},bpf to the kernel’s command line`,
  ]);
}

function bpfFileSystem(): Finding {
  return finding('BPF file system', fileSystemOf('/sys/fs/bpf') === BPF_FS_MAGIC && '/sys/fs/bpf', [
    'missing',
    'there is none at /sys/fs/bpf, where the restriction is kept',
    'mount -t bpf bpf /sys/fs/bpf',
  ]);
}

function libbpf(): Finding {
  const found = libbpfVersion();
  const [major = 0, minor = 0] = found ?? [];
  return finding('libbpf', found !== undefined && (major > 1 || minor >= 1) && found.join('.'), [
    'missing',
    found === undefined ? 'libbpf.so.1 is not there, which loads the restriction' : `${found.join('.')} is too old`,
    'apt install libbpf1',
  ]);
}

function libbpfVersion(): readonly number[] | undefined {
  try {
    const library = koffi.load('libbpf.so.1');
    return [library.func('uint libbpf_major_version()')(), library.func('uint libbpf_minor_version()')()];
  } catch {
    return undefined;
  }
}

function hooks(): Finding {
  const symbols = textOf('/proc/kallsyms') ?? '';
  const found = HOOKS.find((name) => new RegExp(` ${name}$`, 'm').test(symbols));
  return finding('death of namespaces', found !== undefined && `told by ${found}`, [
    symbols === '' ? 'unknown' : 'missing',
    'the kernel has no function by which it could be told',
    'use a kernel with CONFIG_KALLSYMS_ALL=y',
  ]);
}

function namespaceIds(): Finding {
  using own = openFile('/proc/self/ns/user');
  const id = namespaceId(own.number);
  return finding('ids of namespaces', id !== undefined && 'the kernel numbers its namespaces', [
    'absent',
    'before Linux 6.18: with --userns-restrict=off dead namespaces are searched for in all of /proc',
    'give that daemon CAP_SYS_PTRACE, or use Linux 6.18 or newer',
  ]);
}

function controlGroups(): Finding {
  return finding('control groups', fileSystemOf('/sys/fs/cgroup') === CGROUP2_SUPER_MAGIC && 'version 2', [
    'absent',
    'not version 2 alone: namespaces can be given none, and containers may not start',
    'add systemd.unified_cgroup_hierarchy=1 to the kernel’s command line',
  ]);
}

function fileSystemOf(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch {
    return undefined;
  }
}
