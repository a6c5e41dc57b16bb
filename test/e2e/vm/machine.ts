/** The virtual machine that this runs in; empty on any other machine. */
const machine = process.env.SDRX_VM ?? '';

/** Options for a test that changes the system it runs on, and needs one that lets BPF programs be attached. */
export const needsVirtualMachine =
  machine === '' ? { skip: 'only for a virtual machine of its own: npm run test:vm runs it there' } : {};
