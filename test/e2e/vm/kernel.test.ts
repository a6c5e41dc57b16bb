import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { needsVirtualMachine } from './machine.js';

t.test(
  'the kernel has what userns-restrict needs: the BPF LSM, and types of its own',
  needsVirtualMachine,
  async (t) => {
    t.ok(readFileSync('/sys/kernel/security/lsm', 'ascii').split(',').includes('bpf'));
    t.ok(existsSync('/sys/kernel/btf/vmlinux'));
  },
);
