/**
 * @typedef {object} Machine a virtual machine in which tests run
 * @property {string} name
 * @property {string} suite the release of Debian
 * @property {string[]} packages beside `basePackages`
 * @property {string[]} kernelArguments beside those that every machine has
 * @property {number} memory in MiB
 * @property {RegExp} tests the sources' paths
 * @property {number} limit the longest that boot and tests may take together, in seconds
 * @property {boolean} [onDemand] whether it is only run when it is asked for by its name
 */

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

const trixie = { suite: 'trixie', packages: clientPackages, kernelArguments: [], memory: 1536, limit: 900 };

/** In the order of how long they take. @type {Machine[]} */
export const machines = [
  { ...trixie, name: 'trixie-bare', tests: /^test\/(bpf\/|e2e\/vm\/(by-hand|crowd)\.)/, kernelArguments: bare },
  { ...trixie, name: 'trixie', tests: /^test\/e2e\/vm\/(?!by-hand|crowd)/ },
  // Kernel 6.1, the oldest one that the package supports.
  {
    name: 'bookworm',
    suite: 'bookworm',
    packages: [],
    kernelArguments: bare,
    memory: 1024,
    tests: /^test\/(bpf\/|e2e\/vm\/kernel\.)/,
    limit: 900,
  },
  // What the next release will bring: newer clients and a newer kernel. It changes every day, so that a failure need not be
  // ours. Its own daemon is not the one that ours is compared with.
  {
    ...trixie,
    name: 'testing',
    suite: 'testing',
    tests: /^test\/(bpf\/|e2e\/vm\/(by-hand|clients|crowd|kernel)\.)/,
    onDemand: true,
  },
];
