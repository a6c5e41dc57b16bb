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

/**
 * Copies this Debian to where nothing is yet, but for what is large or not to be read, and there has apt-get(8) install a package whose
 * files have many owners.
 */
const INSTALL = `
  set -eu
  log=$PWD/log
  exec 2>"$log"
  trap '[ $? = 0 ] || cat "$log"' EXIT
  mkdir system
  large='lib/modules lib/firmware lib/python3* share/doc share/man share/locale share/zoneinfo'
  tar -c -C / --ignore-failed-read --owner=0 --group=0 $(printf -- '--exclude=usr/%s ' $large) \\
    bin sbin lib lib64 etc usr var/lib/dpkg | tar -xp -C system
  cd system
  mkdir -p dev tmp many/DEBIAN many/srv repository srv var/cache/apt/archives/partial var/log/apt var/lib/apt/lists/partial
  mount --rbind /dev dev
  chmod 1777 tmp
  touch many/srv/mail many/srv/last
  printf 'Package: many\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: -\\n' >many/DEBIAN/control
  chown 8:8 many/srv/mail
  chown 65535:65535 many/srv/last
  TMPDIR=tmp dpkg-deb -Znone --build many repository/many.deb >&2
  {
    cat many/DEBIAN/control
    printf 'Filename: ./many.deb\\nSize: %s\\nSHA256: %s\\n' $(stat -c %s repository/many.deb) $(sha256sum repository/many.deb | cut -c 1-64)
  } >repository/Packages
  rm -rf etc/apt/sources.list.d
  echo 'deb [trusted=yes] file:/repository ./' >etc/apt/sources.list
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
  chroot . apt-get -o Acquire::Languages=none update >&2
  chroot . apt-get install --yes many >&2
  chroot . stat -c '%n %u:%g' /srv/mail /srv/last`;

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
    t.equal(installed, '/srv/mail 8:8\n/srv/last 65535:65535\n', 'as apt-get does');

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
