import { chownSync, mkdirSync, openSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { Fd, namespaceInode, parentNamespace } from '@sdrx/linux';
import t from 'tap';
import { untilOr } from '../../support/until.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { callAs } from './caller.js';
import { ALICE, needsVirtualMachine } from './machine.js';
import { RegisteredNamespace, succeeded, traces } from './namespaces.js';
import { API, REGISTRY, withEach } from './service.js';

/**
 * How long a release may take, in milliseconds. It is meant to take less than a second; an emulated machine on a busy
 * host is some ten times slower.
 */
const LIMIT = 600_000;

async function released(inode: number): Promise<number> {
  const start = performance.now();
  await untilOr(
    LIMIT,
    () => traces(inode).length === 0,
    () => `of ${inode} there still is: ${traces(inode).join(', ')}`,
    50,
  );
  return Math.round(performance.now() - start);
}

withEach(t, 'release', needsVirtualMachine, async (t, provider) => {
  await t.test('a namespace that dies is forgotten by registry, kernel and fd store', async (t) => {
    const namespace = await RegisteredNamespace.create('mortal');
    const before = traces(namespace.inode);
    t.comment(`it is known to ${before.join(', ')}`);
    t.strictSame(before.slice(0, 2), ['registry', 'BPF']);
    namespace[Symbol.dispose]();
    t.comment(`released after ${await released(namespace.inode)} ms`);
  });

  const removesCgroups = provider === 'sdrx' ? {} : { skip: "systemd 257's unit has them read-only" };
  await t.test('a control group that was given to it is removed with it, and all below', removesCgroups, async (t) => {
    const users = '/sys/fs/cgroup/users';
    const cgroup = `${users}/given`;
    mkdirSync(`${cgroup}/below`, { recursive: true });
    chownSync(users, ALICE, ALICE);
    const namespace = await RegisteredNamespace.create('grouped');
    await namespace.addCgroup(cgroup);
    t.equal(statSync(cgroup).uid, namespace.start);
    namespace[Symbol.dispose]();
    await released(namespace.inode);
    t.strictSame(
      readdirSync(users, { withFileTypes: true }).filter((file) => file.isDirectory()),
      [],
    );
    rmdirSync(users);
  });

  // systemd 257 watches free_user_ns(), which frees such a chain in one call, so that it forgets only the last one.
  const oursOnly = provider === 'sdrx' ? {} : { skip: 'systemd 257 misses those that others held' };
  await t.test('a chain of namespaces that die together is forgotten', oursOnly, async (t) => {
    const inodes: number[] = [];
    {
      const options = [
        '--map-root-user',
        ...Array.from({ length: 4 }, () => ['unshare', '--user', '--map-root-user']).flat(),
      ];
      using innermost = new UserNamespace(ALICE, ...options);
      let current = new Fd(openSync(`/proc/${innermost.child.pid}/ns/user`, 'r'));
      for (let depth = 0; depth < 5; depth++) {
        using fd = current;
        inodes.push(namespaceInode(fd.number));
        succeeded(
          await callAs(ALICE, {
            method: `${API}.RegisterUserNamespace`,
            parameters: { name: `chain-${depth}`, userNamespaceFileDescriptor: 0 },
            files: [{ path: `/proc/self/fd/${fd.number}` }],
          }),
        );
        current = parentNamespace(fd.number);
      }
      current.close();
      t.strictSame(
        inodes.map((inode) => traces(inode).includes('registry')),
        [true, true, true, true, true],
      );
    }
    for (const inode of inodes) await released(inode);
    t.strictSame(readdirSync(REGISTRY), ['lock']);
  });
});
