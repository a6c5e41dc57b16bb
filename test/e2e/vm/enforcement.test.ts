import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { untilOr } from '../../support/until.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace, runIn } from './namespaces.js';
import { property, SERVICE, withEach } from './service.js';

/** What makes an inode or changes whose it is, in a directory where anyone may, beside a file that is ours. */
const OPERATIONS = {
  mkdir: 'mkdir made',
  mknod: 'mknod made p',
  create: ': > made',
  symlink: 'ln -s x made',
  link: 'ln ours made',
  chown: 'chown 1:1 ours',
};

/** A script that tries each and says what came of it. */
const ATTEMPTS = Object.entries(OPERATIONS)
  .map(
    ([name, command]) =>
      `if out=$( { ${command}; } 2>&1 ); then echo ${name} done; else echo "${name} $out"; fi; rm -rf made`,
  )
  .join('\n');

const REFUSED = Object.keys(OPERATIONS).map((name) => `${name} refused`);
const DONE = Object.keys(OPERATIONS).map((name) => `${name} done`);

function attempts(run: (script: string) => { output: string }, directory: string): string[] {
  const { output } = run(`cd ${directory} && ${ATTEMPTS}`);
  return output
    .trim()
    .split('\n')
    .map((line) => line.replace(/^(\w+) .*Operation not permitted.*$/, '$1 refused'));
}

/** A directory of the root file system in which anyone may make files, with a file of `owner`. */
class SharedDirectory implements Disposable {
  readonly path = mkdtempSync('/var/lib/shared-');

  constructor(owner: number) {
    prepare(this.path, owner);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

function prepare(directory: string, owner: number): void {
  chmodSync(directory, 0o777);
  writeFileSync(`${directory}/ours`, '');
  chownSync(`${directory}/ours`, owner, owner);
}

withEach(t, 'enforcement', needsVirtualMachine, async (t) => {
  await t.test('a registered namespace owns nothing on a foreign mount', async (t) => {
    using namespace = await RegisteredNamespace.create('kept-out');
    using directory = new SharedDirectory(namespace.start);
    const inside = (script: string) => namespace.run(script);

    t.strictSame(attempts(inside, directory.path), REFUSED);
    chownSync(`${directory.path}/ours`, namespace.start, namespace.start);

    await t.test('but on its own tmpfs', async (t) => {
      const mounted = (script: string) =>
        inside(
          `unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt && touch /mnt/ours && cd /mnt && ${script.replaceAll("'", `'\\''`)}'`,
        );
      t.strictSame(attempts(mounted, '/mnt'), DONE);
    });

    await t.test('and on a mount that is allowed, and no other', async (t) => {
      const mount = `${directory.path}/tmpfs`;
      mkdirSync(mount);
      run('mount', '-t', 'tmpfs', 'tmpfs', mount);
      try {
        prepare(mount, namespace.start);
        t.strictSame(attempts(inside, mount), REFUSED, 'before');
        await namespace.addMount(mount);
        t.strictSame(attempts(inside, mount), DONE, 'after');
        t.strictSame(attempts(inside, directory.path), REFUSED, 'elsewhere');
      } finally {
        run('umount', '--lazy', mount);
      }
    });

    await t.test('but on a mount of a namespace that is nested in it', async (t) => {
      // The nested one keeps its mount namespace until its standard input ends.
      const nested = 'unshare --user --map-users=all --map-groups=all --mount';
      const mount = 'mount -t tmpfs tmpfs /mnt; touch /mnt/ours; chmod 777 /mnt; echo; exec sleep 60';
      const script = `${nested} sh -c '${mount}' > ${directory.path}/ready & until [ -s ${directory.path}/ready ]; do :; done
      cd /proc/$!/root/mnt; ${ATTEMPTS}; kill $!`;
      chmodSync(directory.path, 0o777);
      writeFileSync(`${directory.path}/ready`, '');
      chmodSync(`${directory.path}/ready`, 0o666);
      t.strictSame(
        attempts(() => inside(script), '/'),
        DONE,
      );
    });
  });

  await t.test('a namespace that is not registered is not concerned', async (t) => {
    const start = 1_000_000;
    using namespace = new UserNamespace();
    for (const file of ['uid_map', 'gid_map'])
      writeFileSync(`/proc/${namespace.child.pid}/${file}`, `0 ${start} 65536\n`);
    using directory = new SharedDirectory(start);
    t.strictSame(
      attempts((script) => runIn(`/proc/${namespace.child.pid}/ns/user`, script), directory.path),
      DONE,
    );
  });

  await t.test('enforcement has no gap while the daemon is restarted and killed', async (t) => {
    using namespace = await RegisteredNamespace.create('watched');
    using directory = new SharedDirectory(namespace.start);
    const results = `${directory.path}/results`;
    // It tries without pause, until a file appears.
    const program = `my ($n, $made) = (0, 0); until (-e "stop") { $n++; if (mkdir "made") { $made++; rmdir "made" } } print "$n $made\\n"`;
    const script = `cd ${directory.path}; perl -e '${program}'`;
    run(
      'sh',
      '-c',
      `nsenter --user=${namespace.path} --setuid=0 --setgid=0 sh -c "$1" > ${results} 2>&1 &`,
      'sh',
      script,
    );

    run('systemctl', 'restart', SERVICE);
    const pid = property('MainPID');
    run('systemctl', 'kill', '--kill-whom=all', '--signal=KILL', SERVICE);
    await untilOr(
      60_000,
      () => property('ActiveState') !== 'deactivating' && property('MainPID') !== pid,
      () => 'the daemon lives on after SIGKILL',
    );
    run('systemctl', 'start', SERVICE);
    writeFileSync(`${directory.path}/stop`, '');
    const read = () => readFileSync(results, 'ascii');
    await untilOr(
      30_000,
      () => read() !== '',
      () => 'no results',
    );
    const [tries = 0, made] = read().trim().split(' ').map(Number);
    t.ok(tries > 100, `${tries} tries`);
    t.equal(made, 0);
    t.strictSame(
      attempts((text) => namespace.run(text), directory.path),
      REFUSED,
    );
  });
});
