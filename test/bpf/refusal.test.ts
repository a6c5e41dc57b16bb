import { BpfError, BpfObject, installUsernsRestrict, openUsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { needsPrograms, packets } from './packets.js';
import { installInPlaces } from './refusal-places.js';

// Slow machines take seconds for each.
t.setTimeout(170_000);

const outcomes = needsPrograms.skip === undefined ? installInPlaces() : undefined;
/** What comes of it here, which tells whether this kernel takes programs of the kinds that userns-restrict needs. */
const outcome = outcomes?.['lacks nothing'] ?? {};
const isRefused = outcome.code === 'ERR_BPF_NOT_PERMITTED';
const needsRefusal = isRefused ? {} : { skip: needsPrograms.skip ?? 'this kernel takes LSM programs, or lacks BTF' };

t.test('a kernel whose policy takes no such programs: the error says so', needsRefusal, async (t) => {
  const { message = '', log = [] } = outcome;
  t.match(message, /userns-restrict\.bpf\.o: the kernel's policy does not permit this kind of program.*, EPERM$/);
  t.match(log.join('\n'), /'sdrx_path_\w+': BPF program load failed: Operation not permitted/);
});

t.test('lockdown is named where it is on', needsRefusal, async (t) => {
  t.match(outcomes?.['is locked down'].message, "whatever the capabilities; lockdown is 'integrity', EPERM");
});

t.test('a kernel without the BPF LSM', needsPrograms, async (t) => {
  const { code, message } = outcomes?.['lacks the BPF LSM'] ?? {};
  t.equal(code, 'ERR_BPF_LSM');
  t.match(message, /active security modules lack bpf: add it to lsm= on the kernel's command line/);
});

t.test('a kernel without BTF', needsPrograms, async (t) => {
  const { code, message } = outcomes?.['lacks BTF'] ?? {};
  t.equal(code, 'ERR_BPF_BTF');
  t.match(message, '/sys/kernel/btf/vmlinux is missing (CONFIG_DEBUG_INFO_BTF)');
});

t.test('a process without the capabilities', needsPrograms, async (t) => {
  const { code, message } = outcomes?.['lacks capabilities'] ?? {};
  t.equal(code, 'ERR_BPF_NOT_PERMITTED');
  t.match(message, /not permitted without CAP_PERFMON and CAP_BPF, EPERM$/);
});

const needsConsent = isRefused ? { skip: 'this kernel takes no LSM programs' } : needsPrograms;

t.test('no BPF file system', needsConsent, async (t) => {
  const { code, message } = outcomes?.['lacks a BPF file system'] ?? {};
  t.equal(code, 'ERR_BPF_FILE_SYSTEM');
  t.match(message, /is no BPF file system, nothing can be pinned in .*: mount -t bpf bpf \/sys\/fs\/bpf$/);
});

t.test('a kernel that lacks nothing', needsConsent, async (t) => {
  t.match(outcome, { hook: /retire_userns_sysctls$/, omissions: [] });
  t.equal(outcome.omissions?.length, 0);
});

t.test('no object file', needsPrograms, async (t) => {
  using loop = new EventLoop();
  t.throws(() => installUsernsRestrict({ loop, object: '/nowhere/program.bpf.o' }), {
    code: 'ERR_BPF_OBJECT',
    message: '/nowhere/program.bpf.o is missing: it is made by the build where clang is installed',
  });
});

t.test(
  'a program that could do no harm is refused all the same, and nothing is left behind',
  needsRefusal,
  leavingNothing((t) => {
    using loop = new EventLoop();
    try {
      installUsernsRestrict({ loop });
      t.fail('it was installed');
    } catch (error) {
      t.ok(error instanceof BpfError && ['ERR_BPF_NOT_PERMITTED', 'ERR_BPF_LSM'].includes(error.code));
    }
  }),
);

t.test(
  'a program that needs no privilege but root is attached where others are refused',
  needsPrograms,
  leavingNothing((t) => {
    using object = BpfObject.load(packets, { programs: ['fork'] });
    t.equal(object.attachAll().length, 1);
  }),
);

t.test(
  'a worker whose manager has installed nothing is told so',
  needsPrograms,
  leavingNothing((t) => {
    const directory = '/sys/fs/bpf/nowhere';
    t.throws(() => openUsernsRestrict({ directory }), {
      code: 'ENOENT',
      subject: `${directory}/maps/userns_managed`,
    });
  }),
);
