import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';

/** Where something is missing that userns-restrict needs. */
export interface Place {
  /** A shell script that changes mounts, which are changed back afterwards. */
  readonly prepare: string;
  /** Who tries it; root unless given. */
  readonly uid?: number;
}

/** What came of it. */
export interface Outcome {
  readonly hook?: string | undefined;
  readonly omissions?: readonly string[];
  readonly code?: string;
  readonly message?: string;
  readonly log?: readonly string[];
}

/** Puts a file with this text where securityfs would have it. */
const securityFile = (name: string, text: string) =>
  `mountpoint -q /sys/kernel/security || mount -t tmpfs none /sys/kernel/security
  printf '%s' '${text}' > /run/sdrx-test-$$; touch /sys/kernel/security/${name} || true
  mount --bind /run/sdrx-test-$$ /sys/kernel/security/${name}; rm /run/sdrx-test-$$`;

/** As if the kernel had BPF among its security modules. What is pinned goes with the mount. */
const withLsm = `${securityFile('lsm', 'capability,bpf')}; mount -t bpf bpf /sys/fs/bpf`;

const places = {
  'lacks nothing': { prepare: withLsm },
  'is locked down': { prepare: `${withLsm}; ${securityFile('lockdown', 'none [integrity] confidentiality')}` },
  'lacks the BPF LSM': { prepare: securityFile('lsm', 'lockdown,capability,landlock') },
  'lacks BTF': { prepare: `${withLsm}; mount -t tmpfs none /sys/kernel/btf; mount -t tmpfs none /boot` },
  'lacks a BPF file system': { prepare: `${withLsm}; mount -t tmpfs none /sys/fs/bpf` },
  // The last, since libbpf remembers what it could not find out.
  'lacks capabilities': { prepare: withLsm, uid: 65534 },
} satisfies Readonly<Record<string, Place>>;

/** Installs userns-restrict in each of them, with mounts of its own. One process does it all: to start one takes long. */
export function installInPlaces(): Readonly<Record<keyof typeof places, Outcome>> {
  const program = programPath('./programs/install.js', import.meta.url);
  const { output } = runProgram('unshare', ['--mount', process.execPath, program, JSON.stringify(places)]);
  return JSON.parse(output);
}
