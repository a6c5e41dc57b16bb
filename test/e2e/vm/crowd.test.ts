import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { opendirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { BpfMap, openUsernsRestrict } from '@sdrx/bpf';
import { Registry } from '@sdrx/daemon';
import { Fd, namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { untilOr } from '../../support/until.js';
import { needsVirtualMachine, run } from './machine.js';
import { NAMESPACES, restricted } from './namespaces.js';
import { PINS, REGISTRY, RUNTIME_DIRECTORY, SERVICE, serve } from './service.js';

const COUNT = 4400;
/** Of so many one is registered. The kernel restricts and tells of the others, too, which takes the daemon a tenth of the time each. */
const REGISTERED_OF = 40;
/** How many the ring buffer has room for at most: 16 bytes each of 64 KiB. */
const ROOM = 4096;
const OVERFLOW = `${PINS}-sdrx/maps/userns_overflow`;
const PROCESSES = 200;

/** How long it may take an emulated machine, in milliseconds. */
const LIMIT = 900_000;

/**
 * Makes as many user namespaces as it is told in each of as many processes, each in the one before, which is quicker than to
 * start a process for each; prints their paths, and ends with its standard input: then they die all at once. unshare(2) is
 * system call 272. user_namespaces(7) says that a user without a mapping may make none.
 */
const CROWD = `
  my @files;
  my ($count, $processes) = @ARGV;
  sub put {
    my ($name, $text) = @_;
    open(my $file, '>', "/proc/self/$name") or die $!;
    syswrite $file, $text or die $!;
  }
  for (2 .. $processes) { last if !(fork() // die $!) }
  for (1 .. $count) {
    syscall(272, 0x10000000) == 0 or die $!;
    open(my $file, '<', '/proc/self/ns/user') or die $!;
    push @files, $file;
    put('setgroups', 'deny');
    put('uid_map', '0 0 1');
    put('gid_map', '0 0 1');
  }
  # One write, which is whole however many processes write.
  syswrite STDOUT, join("", map { "/proc/$$/fd/" . fileno($_) . "\\n" } @files);
  <STDIN>;
`;

/** Whether nothing is known of any. To count what is left would take the emulated processor from the daemon. */
function isForgotten(): boolean {
  using namespaces = BpfMap.openPinned(NAMESPACES);
  if (namespaces.keys().next().done !== true) return false;
  const files = opendirSync(REGISTRY);
  try {
    return files.readSync() !== null && files.readSync() === null;
  } finally {
    files.closeSync();
  }
}

t.test(`${COUNT} namespaces that die at once are all forgotten`, needsVirtualMachine, async (t) => {
  await serve('sdrx');
  writeFileSync('/proc/sys/user/max_user_namespaces', '20000');
  let last = performance.now();
  const tell = (what: string) => {
    t.comment(`${what} in ${Math.round(performance.now() - last)} ms`);
    last = performance.now();
  };

  const crowd = spawn('perl', ['-e', CROWD, String(COUNT / PROCESSES), String(PROCESSES)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(crowd, 'exit');
  let paths = '';
  for await (const text of crowd.stdout.setEncoding('ascii')) {
    paths += text;
    if (paths.split('\n').length > COUNT) break;
  }
  tell('made');

  // As workers would have done it, one by one.
  using registry = Registry.open(RUNTIME_DIRECTORY);
  using restrict = openUsernsRestrict();
  {
    using _lock = registry.lock();
    for (const [index, path] of paths.trim().split('\n').entries()) {
      using fd = new Fd(openSync(path, 'r'));
      restrict.put(fd.number);
      if (index % REGISTERED_OF === 0)
        registry.store({ owner: index % 50, name: `crowd-${index}`, userns: namespaceInode(fd.number), cgroups: [] });
    }
  }
  t.equal(restricted().size, COUNT);
  t.equal(registry.inodes().length, COUNT / REGISTERED_OF);
  tell('registered');

  // Nobody reads the ring buffer while they die, so that it overflows.
  run('systemctl', 'kill', '--kill-whom=main', '--signal=STOP', SERVICE);
  crowd.stdin.end();
  await exited;
  using overflow = BpfMap.openPinned(OVERFLOW);
  const without = () => [...overflow.keys()].length;
  await untilOr(
    LIMIT,
    () => without() >= COUNT - ROOM,
    () => `${without()} found no room`,
    300,
  );
  tell('dead');

  run('systemctl', 'kill', '--kill-whom=main', '--signal=CONT', SERVICE);
  await untilOr(
    LIMIT,
    () => isForgotten(),
    () => `${restricted().size} are restricted, and there are ${readdirSync(REGISTRY).length} files`,
    1000,
  );
  t.equal(restricted().size, 0);
  t.strictSame(readdirSync(REGISTRY), ['lock']);
  tell('released');
});
