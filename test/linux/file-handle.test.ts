import { openSync, statSync } from 'node:fs';
import { allocate, Fd, libc, O_PATH, openByHandle } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';

const nameToHandleAt = libc<
  (folder: number, path: string, handle: Uint8Array, mount: Uint8Array, flags: number) => number
>('int name_to_handle_at(int, const char *, void *, void *, int)');

/** The handle of a path, undefined where the file system has none. name_to_handle_at(2). */
function handleOf(path: string): { type: number; bytes: Buffer } | undefined {
  const handle = allocate(8 + 128);
  handle.writeUInt32LE(128, 0);
  if (nameToHandleAt(-100, path, handle, allocate(4), 0) === -1) return undefined;
  return { type: handle.readInt32LE(4), bytes: handle.subarray(8, 8 + handle.readUInt32LE(0)) };
}

t.test(
  'a file is opened by its handle',
  needsRoot,
  leavingNothing((t) => {
    using folder = new Folder();
    const handle = handleOf(folder.path);
    if (handle === undefined) return t.comment('the file system of the temporary directory has no handles');
    using mount = new Fd(openSync(folder.path, 'r'));
    using found = openByHandle(mount.number, handle.type, handle.bytes, O_PATH);
    t.equal(statSync(`/proc/self/fd/${found.number}`).ino, statSync(folder.path).ino);
  }),
);

t.test('a closed mount throws EBADF, a handle that is too long EINVAL', needsRoot, (t) => {
  t.throws(() => openByHandle(9999, 1, Buffer.alloc(8)), { code: 'EBADF', syscall: 'open_by_handle_at' });
  t.throws(() => openByHandle(9999, 1, Buffer.alloc(129)), { code: 'EINVAL' });
  t.end();
});
