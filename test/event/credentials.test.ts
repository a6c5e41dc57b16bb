import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type Credentials, type EventLoop, serviceEnvironment } from '@sdrx/event';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

function credentialsIn(folder: Folder): Credentials {
  const { credentials } = serviceEnvironment({ CREDENTIALS_DIRECTORY: folder.path });
  if (credentials === undefined) throw new Error('no credentials');
  return credentials;
}

t.test(
  'credentials have names, bytes and text',
  leavingNothing((t) => {
    using folder = new Folder();
    const credentials = credentialsIn(folder);
    t.strictSame(credentials.names(), []);
    const bytes = Buffer.from([0, 0xff, 10]);
    writeFileSync(folder.join('key'), bytes);
    writeFileSync(folder.join('api.password'), '\ufeffsecret ✓\n');
    t.strictSame(credentials.names(), ['api.password', 'key']);
    t.strictSame(credentials.read('key'), bytes);
    t.equal(credentials.text('api.password'), '\ufeffsecret ✓\n');
    t.throws(() => credentials.text('key'), { code: 'ERR_ENCODING_INVALID_ENCODED_DATA' });
  }),
);

t.test(
  'one that is too long is not read, one that is just as long is',
  leavingNothing((t) => {
    using folder = new Folder();
    const credentials = credentialsIn(folder);
    writeFileSync(folder.join('key'), Buffer.alloc(1024 * 1024, 'k'));
    t.equal(credentials.read('key').length, 1024 * 1024);
    t.equal(
      errorCode(() => credentials.read('key', { limit: 1024 * 1024 - 1 })),
      'EFBIG',
    );
    writeFileSync(folder.join('key'), 'k', { flag: 'a' });
    t.equal(
      errorCode(() => credentials.read('key')),
      'EFBIG',
    );
    t.equal(credentials.read('key', { limit: 2 ** 21 }).length, 1024 * 1024 + 1);
    writeFileSync(folder.join('empty'), '');
    t.equal(credentials.text('empty', { limit: 0 }), '');
  }),
);

t.test(
  'what is not there, and what is no file, is an error, and nobody waits for it',
  leavingNothing((t) => {
    using folder = new Folder();
    const credentials = credentialsIn(folder);
    t.equal(
      errorCode(() => credentials.read('key')),
      'ENOENT',
    );
    mkdirSync(folder.join('folder'));
    t.equal(
      errorCode(() => credentials.read('folder')),
      'EINVAL',
    );
    runProgram('mkfifo', [folder.join('fifo')]);
    t.equal(
      errorCode(() => credentials.read('fifo')),
      'EINVAL',
    );
    symlinkSync('/dev/zero', folder.join('endless'));
    t.equal(
      errorCode(() => credentials.read('endless')),
      'EINVAL',
    );
  }),
);

for (const name of ['', '.', '..', '../key', 'a/b', 'a:b', 'a\0', 'ä', 'a\n', 'a'.repeat(256)]) {
  t.test(
    `${JSON.stringify(name.slice(0, 10))} is the name of none`,
    leavingNothing((t) => {
      using folder = new Folder();
      const credentials = credentialsIn(folder);
      const loop = { inotify: () => undefined, time: () => undefined, source: () => undefined };
      t.throws(() => credentials.read(name), { code: 'ERR_OUT_OF_RANGE' });
      t.throws(() => credentials.text(name), { code: 'ERR_OUT_OF_RANGE' });
      t.throws(() => credentials.watch(loop as unknown as EventLoop, name), { code: 'ERR_OUT_OF_RANGE' });
    }),
  );
}

t.test(
  'a credential that is watched comes at once, and again when it is another one',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const credentials = credentialsIn(folder);
    const seen: (string | undefined)[] = [];
    const subscription = credentials.watch(loop, 'key').subscribe((key) => seen.push(key?.toString()));
    await until(() => seen.length === 1);
    writeFileSync(folder.join('new'), 'first');
    renameSync(folder.join('new'), folder.join('key'));
    await until(() => seen.length === 2);
    // Nothing to tell of: it has the same bytes.
    chmodSync(folder.join('key'), 0o400);
    writeFileSync(folder.join('new'), 'first');
    renameSync(folder.join('new'), folder.join('key'));
    writeFileSync(folder.join('new'), 'second');
    renameSync(folder.join('new'), folder.join('key'));
    await until(() => seen.includes('second'));
    rmSync(folder.join('key'));
    await until(() => seen.at(-1) === undefined);
    t.strictSame(seen, [undefined, 'first', 'second', undefined]);
    subscription.unsubscribe();
  }),
);

t.test(
  'one that grows too long ends the watch with EFBIG',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    writeFileSync(folder.join('key'), 'k');
    let failure: unknown;
    credentialsIn(folder)
      .watch(loop, 'key', { limit: 1 })
      .subscribe({
        error: (error) => {
          failure = error;
        },
      });
    writeFileSync(folder.join('key'), 'kk');
    await until(() => failure !== undefined);
    t.match(failure, { code: 'EFBIG' });
  }),
);

const program = programPath('programs/watch-credential.js', import.meta.url);

t.test('one that is mounted over, as systemd does it, is seen as well', needsRoot, (t) => {
  const { output, exit } = runNode([program], ['unshare', '--mount', '--propagation', 'private']);
  t.equal(output, 'old\nnew\nnewest\nold\n');
  t.match(exit, { code: 'exited', status: 0 });
  t.end();
});
