import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { DEEDS, deedsIn, refusedDeeds } from '../../support/deeds.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace, runIn } from './namespaces.js';
import { withEach } from './service.js';
import { prepare, SharedDirectory } from './shared-directory.js';

withEach(t, 'enforcement', needsVirtualMachine, async (t) => {
  await t.test('a registered namespace owns nothing on a foreign mount', async (t) => {
    using namespace = await RegisteredNamespace.create('kept-out');
    using directory = new SharedDirectory(namespace.start);
    const refused = (folder: string) => refusedDeeds(namespace.run(deedsIn(folder)).output);

    t.strictSame(refused(directory.path), DEEDS);

    await t.test('but on its own tmpfs', async (t) => {
      const script = `unshare --mount sh -c "$1"`;
      const { output } = namespace.run(script, `mount -t tmpfs tmpfs /mnt && touch /mnt/old && ${deedsIn('/mnt')}`);
      t.strictSame(refusedDeeds(output), []);
    });

    await t.test('and on a mount that is allowed, and no other', async (t) => {
      const mount = `${directory.path}/tmpfs`;
      mkdirSync(mount);
      run('mount', '-t', 'tmpfs', 'tmpfs', mount);
      try {
        prepare(mount, namespace.start);
        t.strictSame(refused(mount), DEEDS, 'before');
        await namespace.addMount(mount);
        t.strictSame(refused(mount), [], 'after');
        t.strictSame(refused(directory.path), DEEDS, 'elsewhere');
      } finally {
        run('umount', '--lazy', mount);
      }
    });

    await t.test('but on a mount of a namespace that is nested in it', async (t) => {
      // The nested one keeps its mount namespace until its standard input ends.
      const nested = 'unshare --user --map-users=all --map-groups=all --mount';
      const mount = 'mount -t tmpfs tmpfs /mnt; touch /mnt/old; chmod 777 /mnt; echo; exec sleep 60';
      const script = `${nested} sh -c '${mount}' > ${directory.path}/ready & until [ -s ${directory.path}/ready ]; do :; done
      ${deedsIn('/proc/$!/root/mnt')}; kill $!`;
      chmodSync(directory.path, 0o777);
      writeFileSync(`${directory.path}/ready`, '');
      chmodSync(`${directory.path}/ready`, 0o666);
      t.strictSame(refusedDeeds(namespace.run(script).output), []);
    });
  });

  await t.test('a namespace that is not registered is not concerned', async (t) => {
    const start = 1_000_000;
    using namespace = new UserNamespace();
    for (const file of ['uid_map', 'gid_map'])
      writeFileSync(`/proc/${namespace.child.pid}/${file}`, `0 ${start} 65536\n`);
    using directory = new SharedDirectory(start);
    const { output } = runIn(`/proc/${namespace.child.pid}/ns/user`, deedsIn(directory.path));
    t.strictSame(refusedDeeds(output), []);
  });
});
