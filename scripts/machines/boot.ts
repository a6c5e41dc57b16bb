import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { say } from '../support/say.js';
import type { MachineImage } from './image.js';
import type { Machine } from './machines.js';

/** The longest from the start to the first test's beginning, in seconds. */
const bootLimit = 300;

export interface Boot {
  /** What the tests said; not complete if the machine did not last. */
  readonly tap: string;
  /** Why there is no complete result. */
  readonly failure: string | undefined;
  /** Whether it took too long, which is the tests' fault, not the machine's. */
  readonly late: boolean;
}

/**
 * Boots a machine without a network and waits until it turns itself off. Plain emulation, so that it runs anywhere.
 *
 * @param image stays as it is
 * @param payload the path of the disk
 * @param folder for results.tap, journal.log and console.log
 */
async function bootMachine(
  { name, kernelArguments, memory, limit }: Machine,
  image: MachineImage,
  payload: string,
  folder: string,
): Promise<Boot> {
  const output = (name: string) => `${folder}/${name}`;
  for (const name of ['results.tap', 'journal.log', 'console.log']) writeFileSync(output(name), '');
  const append = [
    `console=ttyS0 panic=-1 quiet sdrx.machine=${name}`,
    'lsm=landlock,lockdown,yama,integrity,bpf audit=0',
    // On a busy host the timer ticks too late for the kernel, which takes it for broken.
    'no_timer_check',
    // What keeps a processor from guessing costs an emulated one a tenth of its time, and guards nothing there.
    'mitigations=off',
    // On such a host a service may take minutes to start.
    'systemd.default_timeout_start_sec=900',
    ...kernelArguments,
  ];
  // biome-ignore format: an option a line
  const args = [
    '-accel', 'tcg,thread=multi',
    // Tables of five levels only cost time, and so do wide registers, which are emulated piece by piece.
    '-cpu', 'max,la57=off,-avx,-avx2',
    // Two machines run at a time, and atomic operations cost less on one processor.
    '-smp', '1',
    '-m', String(memory),
    '-nodefaults', '-no-reboot', '-display', 'none', '-nic', 'none',
    '-kernel', image.kernel,
    '-initrd', image.initrd,
    '-append', append.join(' '),
    // What the machine writes to its system disk is forgotten.
    '-drive', `file=${image.disk},format=raw,if=virtio,cache=unsafe,snapshot=on`,
    '-drive', `file=${payload},format=raw,if=virtio,cache=unsafe,readonly=on`,
    '-chardev', `file,id=console,path=${output('console.log')}`, '-serial', 'chardev:console',
    '-chardev', `file,id=journal,path=${output('journal.log')}`, '-serial', 'chardev:journal',
    '-device', 'virtio-serial',
    '-chardev', `file,id=tap,path=${output('results.tap')}`, '-device', 'virtserialport,chardev=tap,name=sdrx.tap',
    '-device', 'virtio-rng-pci',
  ];
  // A machine must not outlive who started it, however that ends. It has precedence over the files that are tested meanwhile, as
  // emulation makes it slow.
  const words = ['--adjustment=-5', 'setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args];
  const qemu = spawn('nice', words, { stdio: ['ignore', 2, 2] });
  const tap = () => readFileSync(output('results.tap'), 'utf8');
  let failure: string | undefined;
  const giveUp = (why: string) => {
    failure ??= why;
    qemu.kill('SIGKILL');
  };
  const boot = setTimeout(() => {
    if (tap() === '') giveUp(`it did not come up within ${bootLimit} s`);
  }, bootLimit * 1000);
  let late = false;
  const whole = setTimeout(() => {
    late = true;
    giveUp(`its tests did not end within ${limit} s`);
  }, limit * 1000);
  try {
    const code = await new Promise<number | string | null>((resolve, reject) => {
      qemu.once('error', reject);
      qemu.once('exit', (status, signal) => resolve(signal ?? status));
    });
    if (code !== 0) failure ??= `QEMU ended with ${code}`;
  } finally {
    clearTimeout(boot);
    clearTimeout(whole);
  }
  if (!/^1\.\.\d+$/m.test(tap())) failure ??= 'it ended before its tests did';
  return { tap: tap(), failure, late };
}

/** The same, once more if the machine itself fails. A test that fails is no reason to try again. */
export async function bootMachineAgain(...parameters: Parameters<typeof bootMachine>): Promise<Boot> {
  const first = await bootMachine(...parameters);
  if (first.failure === undefined || first.late) return first;
  say(`the machine ${parameters[0].name} failed: ${first.failure}. Trying once more`);
  return bootMachine(...parameters);
}
