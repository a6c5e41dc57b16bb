import { BpfError, BpfObject } from '@sdrx/bpf';
import t from 'tap';
import { needsMachine, ours } from './enforced.js';

// The machine is slow.
t.setTimeout(170_000);

const programs = [
  'sdrx_path_mkdir',
  'sdrx_path_mknod',
  'sdrx_path_symlink',
  'sdrx_path_link',
  'sdrx_path_chown',
  'sdrx_path_rename',
  'sdrx_file_open',
  'sdrx_sb_kern_mount',
  'sdrx_task_fix_setgroups',
  'sdrx_features',
];

for (const program of programs) {
  t.test(`this kernel's verifier takes ${program}`, needsMachine, async (t) => {
    try {
      using object = BpfObject.load(ours, { programs: [program] });
      t.ok(object.attachAll());
      if (program === 'sdrx_features') t.comment(object.program(program).run(Buffer.alloc(14)).result);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      t.fail(`${error.message}\n${error.log.join('\n')}`);
    }
  });
}
