import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { DEEDS, deedsIn, refusedDeeds } from '../../support/deeds.js';
import { asUser } from '../../support/nsresourcectl.js';
import { untilOr } from '../../support/until.js';
import { ALICE, attempt, needsVirtualMachine } from './machine.js';
import { restricted, traces } from './namespaces.js';
import { serve } from './service.js';
import { SharedDirectory } from './shared-directory.js';

/** How long a release may take in an emulated machine on a busy host, in milliseconds. */
const LIMIT = 300_000;

/** Has dpkg(1) make and install a package whose files have many owners, in a folder in which nothing is yet. */
const INSTALL = `
  set -e
  export TMPDIR="$PWD"
  mkdir -p many/DEBIAN many/srv root/var/lib/dpkg/info root/var/lib/dpkg/updates
  touch many/srv/mail many/srv/last root/var/lib/dpkg/status
  printf 'Package: many\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: -\\n' >many/DEBIAN/control
  chown 8:8 many/srv/mail
  chown 65535:65535 many/srv/last
  dpkg-deb -Znone --build many many.deb >log
  dpkg --root="$PWD/root" --install many.deb >log 2>&1 || cat log
  stat -c '%n %u:%g' root/srv/mail root/srv/last`;

/** Is told a folder of the disk, does there and on a file system of its own what makes inodes, and then is sleep(1). */
const SCRIPT = `
  id -u
  read -r folder
  ${deedsIn('"$folder"')}
  echo --
  unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt && cd /mnt && touch old && eval "$1" && echo -- && eval "$2"' sh "$@"
  exec >&-
  exec sleep 1000`;

const alice = [...asUser(ALICE), 'nsresourcectl'];

t.test(
  'nsresourcectl run, as a user without privileges, where namespaces are restricted',
  needsVirtualMachine,
  async (t) => {
    await serve('sdrx');
    const before = [...restricted()];
    const [file = '', ...args] = [...alice, 'run', '--', 'sh', '-c', SCRIPT, 'sh', deedsIn('/mnt'), INSTALL];
    const child = spawn(file, args, { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    const texts = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
    t.equal((await texts.next()).value, '0\n');

    const [first, start, size] = readFileSync(`/proc/${child.pid}/uid_map`, 'ascii').trim().split(/ +/).map(Number);
    t.strictSame([first, size], [0, 65_536]);
    const [inode = 0] = [...restricted()].filter((inode) => !before.includes(inode));
    t.strictSame(traces(inode), ['registry', 'BPF']);
    using directory = new SharedDirectory(start ?? 0);
    child.stdin.end(`${directory.path}\n`);
    let output = '';
    for (let next = await texts.next(); !next.done; next = await texts.next()) output += next.value;
    const [disk = '', own = '', installed = ''] = output.split('--\n');
    t.strictSame(refusedDeeds(disk), DEEDS, 'on the disk it makes nothing');
    t.strictSame(refusedDeeds(own), [], 'on a file system of its own all that it likes');
    t.equal(installed, 'root/srv/mail 8:8\nroot/srv/last 65535:65535\n', 'as dpkg does');

    child.kill('SIGINT');
    t.strictSame(await ended, [null, 'SIGINT'], 'the command gets the signals');
    await untilOr(
      LIMIT,
      () => traces(inode).length === 0,
      () => `there still is ${traces(inode).join(', ')}`,
      300,
    );
  },
);

t.test('nsresourcectl run --network, whose exit status is the command’s', needsVirtualMachine, async (t) => {
  await serve('sdrx');
  const [file = '', ...args] = [...alice, 'run', '--network', '--', 'sh', '-c', 'cut -d: -f1 /proc/net/dev; exit 7'];
  const { status, output } = attempt(file, ...args);
  t.match(output, /^ *host0$/m);
  t.equal(status, 7);
});
