/** A virtual machine in which tests run. */
export interface Machine {
  readonly name: string;
  /** The release of Debian. */
  readonly suite: string;
  /** Beside `basePackages`. */
  readonly packages: readonly string[];
  /** Sockets that do not listen from the machine's start on. */
  readonly notStarted?: readonly string[];
  /** Beside those that every machine has. */
  readonly kernelArguments: readonly string[];
  /** In MiB. */
  readonly memory: number;
  /** The sources' paths. */
  readonly tests: RegExp;
  /** Those of them that an emulated machine only runs when they are asked for by a part of their path. */
  readonly ifNamed?: RegExp;
  /** The longest that boot and tests may take together, in seconds. */
  readonly limit: number;
  /** Whether it is only run when it is asked for by its name. */
  readonly onDemand?: boolean;
}

/**
 * Tests that need a systemd that is process 1, of the machine's release, and nothing of its kernel. A container has that, too,
 * and is ten times as fast. `package` says what it leaves out there.
 */
export const needSystemdOnly = /^test\/e2e\/vm\/(http-service|idle-exit|kept-service|package|reload|ten-minutes)\./;

/** What every machine has: a kernel, systemd, and what node needs. */
export const basePackages = [
  ...['linux-image-cloud-amd64', 'busybox-static', 'systemd', 'systemd-sysv', 'dbus', 'udev', 'libstdc++6'],
  // The package's own: its BPF library, and the programs that its tests run.
  ...['libbpf1', 'util-linux', 'procps', 'python3-minimal'],
];

/** The real clients of the daemon's API, and what they need to run images. */
const clientPackages = [
  ...['systemd-container', 'systemd-userdbd', 'libnss-systemd', 'systemd-repart', 'libpam-systemd'],
  ...['iproute2', 'squashfs-tools', 'cryptsetup-bin', 'polkitd', 'openssl', 'dbus-user-session'],
];

/** Nothing is started but what the tests need, for those that need no service. */
const bare = ['systemd.unit=sdrx-tests.service'];

/** systemd's own tests, and what they call. */
const scenarioPackages = ['systemd-tests', 'acl', 'attr', 'e2fsprogs', 'fdisk', 'jq', 'libcurl4t64', 'libseccomp2'];

const trixie = { suite: 'trixie', packages: clientPackages, kernelArguments: [], memory: 1536, limit: 3000 };

/** The one that takes longest first. */
export const machines: readonly Machine[] = [
  {
    ...trixie,
    name: 'trixie',
    tests:
      /^test\/(e2e\/vm\/(?!by-hand|crowd|http-service|idle-exit|kept-service|package|reload|run|systemd-scenarios|ten-minutes)|soak\/machine-)/,
    // A reload under load takes an emulated machine minutes, on a busy host more than a manager waits for its successor. The same
    // daemon is reloaded under load outside of machines, too.
    ifNamed: /^test\/e2e\/vm\/upgrade\./,
  },
  {
    ...trixie,
    name: 'trixie-bare',
    tests:
      /^test\/(bpf\/|e2e\/vm\/(by-hand|crowd|http-service|idle-exit|kept-service|package|reload|run|ten-minutes)\.)/,
    kernelArguments: bare,
    // Two minutes for thousands of namespaces that die at once. test/bpf/deaths has the same without a daemon.
    ifNamed: /^test\/e2e\/vm\/crowd\./,
  },
  // Kernel 6.1, the oldest one that the package supports, and systemd 252.
  {
    name: 'bookworm',
    suite: 'bookworm',
    packages: [],
    kernelArguments: bare,
    memory: 1024,
    tests: /^test\/(bpf\/|e2e\/vm\/(http-service|kept-service|kernel|package|run|upgrade)\.|soak\/machine-)/,
    // Ten minutes for what is the same as on trixie but for the release of systemd; the package, where a container is refused, five
    // to seventeen; three for each deed in each place.
    ifNamed: /^test\/(bpf\/(mapped-mounts|matrix|refusal)|e2e\/vm\/(kept-service|package|upgrade))/,
    limit: 3000,
  },
  // What the next release will bring: newer clients and a newer kernel. It changes every day, so that a failure need not be
  // ours. Its own daemon is not the one that ours is compared with.
  {
    ...trixie,
    name: 'testing',
    suite: 'testing',
    packages: [...clientPackages, ...scenarioPackages],
    tests:
      /^test\/(bpf\/|e2e\/vm\/(by-hand|clients|comparison|crowd|http-service|kept-service|kernel|package|reload|run|systemd-scenarios|ten-minutes|upgrade)\.|soak\/machine-)/,
    // More than half an hour.
    ifNamed: /^test\/e2e\/vm\/systemd-scenarios\./,
    limit: 7200,
    onDemand: true,
    // The first look at users starts systemd's own daemon there, which keeps an emulated machine busy for minutes.
    notStarted: [
      'systemd-nsresourced.socket',
      ...['systemd-networkd-resolve-hook.socket', 'systemd-networkd-varlink-metrics.socket'],
    ],
  },
];
