import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { needsDebianTree } from '../support/debian-tree.js';
import { asUser, control, nsresourcectl } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { untilOr } from '../support/until.js';

const tree = process.env.SDRX_DEBIAN_TREE ?? '';

/** Of a Debian, what apt and dpkg need. */
const PARTS = [
  'bin',
  'sbin',
  'lib',
  'lib64',
  'etc',
  'usr/bin',
  'usr/sbin',
  'usr/lib',
  'usr/lib64',
  'usr/share/dpkg',
  'var/lib/dpkg',
  'var/lib/apt',
];

/**
 * Run as root of a namespace: unpacks a Debian from its input, and installs a package there whose files belong to others. In a
 * mount namespace, since apt wants /proc and /dev.
 */
const INSTALL = `
set -e
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
tar -C "$root" -xp
cat >"$root/install" <<'END'
set -e
mkdir -p /tmp/many/DEBIAN /tmp/many/srv /var/cache/apt/archives/partial /var/log/apt
printf 'Package: many\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: files of many owners\\n' >/tmp/many/DEBIAN/control
touch /tmp/many/srv/mail /tmp/many/srv/www /tmp/many/srv/last
chown 8:8 /tmp/many/srv/mail; chown 33:33 /tmp/many/srv/www; chown 65535:65535 /tmp/many/srv/last
dpkg-deb --build /tmp/many /tmp/many.deb >/dev/null
apt-get install --yes /tmp/many.deb >/tmp/log 2>&1 || cat /tmp/log
dpkg-query -W -f '\${Status}\\n' many
stat -c '%n %u:%g' /srv/mail /srv/www /srv/last
END
mkdir -p "$root/proc" "$root/dev" "$root/tmp" && chmod 1777 "$root/tmp"
unshare --mount sh -c 'mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev" && chroot "$1" sh /install' sh "$root"
`;

t.test(
  'apt-get installs a package with files of many owners, for a user without privileges',
  needsDebianTree,
  async (t) => {
    const daemon = await startDaemon(t);
    const run = [
      'run',
      '--',
      'env',
      'PATH=/usr/bin:/usr/sbin:/bin:/sbin',
      'DEBIAN_FRONTEND=noninteractive',
      'sh',
      '-c',
      INSTALL,
    ];
    const pack =
      'tree=$1; parts=$2; shift 2; cd "$tree" && tar -c --exclude=python3 --exclude=locale $parts | (cd / && "$@")';
    const { output, errors } = control(daemon, run, [
      'sh',
      '-c',
      pack,
      'sh',
      tree,
      PARTS.filter((part) => existsSync(`${tree}/${part}`)).join(' '),
      ...asUser(UID),
    ]);
    t.equal(output, 'install ok installed\n/srv/mail 8:8\n/srv/www 33:33\n/srv/last 65535:65535\n', errors);
  },
);

/** A daemon whose host's network is one that nobody else has. */
function networkDaemon(t: Test): Promise<Daemon> {
  return startDaemon(t, { through: ['unshare', '--net'] });
}

/** In the namespace: answers one connection. */
const SERVER = `
import socket, subprocess
for words in 'link set host0 up', 'address add 169.254.77.2/30 dev host0': subprocess.run(['ip'] + words.split(), check=True)
server = socket.create_server(('169.254.77.2', 7))
print('ready', flush=True)
client, _ = server.accept()
client.sendall(b'from inside')
`;

const CLIENT = `
import socket
print(socket.create_connection(('169.254.77.2', 7), 20).recv(100).decode())
`;

t.test('run --network connects a command with the host', needsRoot, async (t) => {
  const daemon = await networkDaemon(t);
  const options = ['run', '--network', '--name=net', '--', '/usr/bin/python3', '-c', SERVER];
  const [file = '', ...args] = [
    ...asUser(UID),
    nsresourcectl,
    `--runtime-directory=${daemon.runtimeDirectory}`,
    ...options,
  ];
  const inside = spawn(file, args, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  inside.stdout.on('data', (data) => {
    output += data;
  });
  await untilOr(
    60_000,
    () => output === 'ready\n',
    () => `not ready: ${output}`,
  );
  const [, host = ''] = /Interface: (\S+)/.exec(control(daemon, ['show', `${UID}-net`]).output) ?? [];
  const outside = (...command: readonly string[]) =>
    runProgram('nsenter', [`--net=/proc/${daemon.pid}/ns/net`, ...command]);
  outside('ip', 'address', 'add', '169.254.77.1/30', 'dev', host);
  outside('ip', 'link', 'set', host, 'up');
  t.equal(outside('/usr/bin/python3', '-c', CLIENT).output, 'from inside\n');
  t.strictSame(await once(inside, 'close'), [0, null]);
});
