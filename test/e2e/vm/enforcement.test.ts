import { chmodSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { Fd } from '@sdrx/linux';
import t from 'tap';
import { cloneMount, mapMount, placeMount } from '../../bpf/mounts.js';
import { DEEDS, deedsIn, refusedDeeds } from '../../support/deeds.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace, runIn } from './namespaces.js';
import { withEach } from './service.js';
import { prepare, SharedDirectory } from './shared-directory.js';

withEach(t, 'enforcement', needsVirtualMachine, async (t, provider) => {
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

    await t.test('and on a mount that maps its ids, once it was added, and no other', async (t) => {
      const plain = `${directory.path}/plain`;
      const mapped = `${directory.path}/mapped`;
      for (const folder of [plain, mapped]) mkdirSync(folder);
      prepare(plain, 0);
      using userns = new Fd(openSync(namespace.path, 'r'));
      using mount = cloneMount(plain);
      mapMount(mount, userns);
      placeMount(mount, mapped);
      try {
        // By its ids nothing needs to be added; systemd 257 goes by mounts.
        t.strictSame(refused(mapped), provider === 'sdrx' ? [] : DEEDS, 'before');
        await namespace.addMount(mapped);
        t.strictSame(refused(mapped), [], 'after');
        t.strictSame(refused(directory.path), DEEDS, 'elsewhere');
        if (provider === 'sdrx') {
          await namespace.addMount(directory.path);
          t.strictSame(refused(directory.path), DEEDS, 'one that maps nothing is not free when it is added');
        }
      } finally {
        run('umount', '--lazy', mapped);
      }
    });

    const closed =
      provider === 'sdrx' ? {} : { skip: 'systemd 257 goes by the mount namespace, which can be another one' };
    await t.test('whatever it unshares', closed, async (t) => {
      for (const program of [
        'unshare --mount',
        'unshare --user --map-root-user',
        'unshare --user --map-root-user --mount',
        'unshare --user --map-root-user unshare --user --map-root-user --mount --net --ipc',
      ])
        t.strictSame(refusedDeeds(namespace.run(`${program} ${deedsIn(directory.path)}`).output), DEEDS, program);
      const { output } = namespace.run(`unshare --mount ln -s old ${directory.path}/link`);
      t.match(output, 'not permitted');
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
