import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import { namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { allocate, ask, failed, given, invalid, keptFiles, mapOf, USERNS } from '../support/allocation.js';
import { startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { plant } from '../support/plant.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { UserNamespace } from '../support/user-namespace.js';

const NOT_FOUND = 'io.systemd.UserDatabase.NoRecordFound';

/** A service of the user database, of nsswitch.conf(5), that never answers for names of ours and ids that are given away. */
const MUTE_SERVICE = `
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
static enum nss_status mute(int is_ours) { while (is_ours) pause(); return NSS_STATUS_NOTFOUND; }
enum nss_status _nss_mute_getpwnam_r(const char *n, struct passwd *p, char *b, size_t l, int *e) { return mute(!strncmp(n, "ns-", 3)); }
enum nss_status _nss_mute_getgrnam_r(const char *n, struct group *g, char *b, size_t l, int *e) { return mute(!strncmp(n, "ns-", 3)); }
enum nss_status _nss_mute_getpwuid_r(uid_t u, struct passwd *p, char *b, size_t l, int *e) { return mute(u > 61000); }
enum nss_status _nss_mute_getgrgid_r(gid_t g, struct group *r, char *b, size_t l, int *e) { return mute(g > 61000); }
`;

t.test('while somebody has the lock of the registry for long', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const namespaces = Array.from({ length: 4 }, () => new UserNamespace());
  t.teardown(() => {
    for (const namespace of namespaces) namespace[Symbol.dispose]();
  });
  using registry = Registry.open(daemon.runtimeDirectory);
  const fds = namespaces.map((namespace) => namespace.open());
  const lock = registry.lock();
  const waiting = fds.map((fd, index) => allocate(daemon, fd, `waiting-${index}`));
  const records = await Promise.all(Array.from({ length: 20 }, () => ask(daemon, 'User', { uid: 524_288 })));
  for (const { error } of records) t.equal(error, NOT_FOUND, 'users are looked up');
  for (const reply of await Promise.all(waiting))
    t.strictSame(reply, failed('EBUSY', 16), 'who needs it gets an error');
  for (const namespace of namespaces) t.equal(mapOf(namespace), '');
  lock[Symbol.dispose]();
  for (const [index, fd] of fds.entries()) {
    t.strictSame(await allocate(daemon, fd, `waiting-${index}`), given(`waiting-${index}`), 'later it is as ever');
    fd.close();
  }
});

t.test('a user database that never answers', needsRoot, async (t) => {
  using folder = new Folder();
  writeFileSync(folder.join('mute.c'), MUTE_SERVICE);
  writeFileSync(folder.join('nsswitch.conf'), 'passwd: files mute\ngroup: files mute\n');
  const library = folder.join('libnss_mute.so.2');
  const { exit } = runProgram('gcc', ['-shared', '-fPIC', '-o', library, folder.join('mute.c')]);
  t.equal(exit.status, 0);
  const script = 'mount --bind "$0" /etc/nsswitch.conf && export LD_LIBRARY_PATH="$1" && shift && exec "$@"';
  const daemon = await startDaemon(t, {
    through: ['unshare', '--mount', 'sh', '-c', script, folder.join('nsswitch.conf'), folder.path],
  });
  const namespaces = Array.from({ length: 12 }, () => new UserNamespace());
  t.teardown(() => {
    for (const namespace of namespaces) namespace[Symbol.dispose]();
  });
  const files = keptFiles(daemon);
  const waiting = namespaces.map(async (namespace, index) => {
    using fd = namespace.open();
    return await allocate(daemon, fd, `mute-${index}`);
  });
  const records = await Promise.all(Array.from({ length: 20 }, () => ask(daemon, 'User', { uid: 524_288 })));
  for (const { error } of records) t.equal(error, NOT_FOUND, 'users of ours are looked up');
  for (const reply of await Promise.all(waiting)) t.strictSame(reply, failed('ETIMEDOUT', 110));
  for (const namespace of namespaces) t.equal(mapOf(namespace), '', 'no ids are given away that may be somebody’s');
  t.strictSame(keptFiles(daemon), files);
  t.strictSame(await daemon.stop(), { code: 0, signal: null }, 'the daemon and its workers end all the same');
});

t.test('an entry with ids is not of a namespace without maps, whose inode it has', needsRoot, async (t) => {
  const runtimeDirectory = mkdtempSync('/dev/shm/sdrx-test-');
  t.teardown(() => rmSync(runtimeDirectory, { recursive: true, force: true }));
  const daemon = await startDaemon(t, { runtimeDirectory });
  using namespace = new UserNamespace();
  using fd = namespace.open();
  const range = { start: 1_622_999_040, size: 65_536, target: 0 };
  using _planted = plant(daemon, { userns: namespaceInode(fd.number), name: 'dead', range });
  t.strictSame(await allocate(daemon, fd, 'probe'), given('probe'));
  t.equal(mapOf(namespace), '0 1622999040 65536', 'its name and its ids are free');
  t.strictSame(await allocate(daemon, fd, 'dead'), invalid(USERNS));
});
