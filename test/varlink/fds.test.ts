import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { type Fd, socketPair } from '@sdrx/linux';
import t from 'tap';
import { call, exampleService } from './example.js';
import { frame, openFds, systemError, turn, until, withServer } from './fixture.js';

/** Runs `body` with as many open files, each of another inode. */
async function withFiles(count: number, body: (fds: number[]) => Promise<void>): Promise<void> {
  const files = Array.from({ length: count }, () => socketPair());
  try {
    await body(files.map(([fd]) => fd.number));
  } finally {
    for (const pair of files) for (const fd of pair) fd.close();
  }
}

function inode(fd: number | undefined): number {
  return fstatSync(fd ?? -1).ino;
}

t.test('a method finds the descriptors of its call by index', (t) =>
  withFiles(3, (files) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      for (const [fd, file] of files.entries()) {
        client.sendWith(files, call('Inode', { fd }));
        t.same(await client.replies(1), [{ parameters: { inode: inode(file), count: 3 } }]);
      }
    }),
  ),
);

t.test('an index without a descriptor is ENXIO, as with systemd', (t) =>
  withFiles(1, (files) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      const parameters = { origin: 'linux', errnoName: 'ENXIO', errno: 6 };
      client.send(call('Inode', { fd: 0 }));
      client.sendWith(files, call('Inode', { fd: 1 }));
      t.same(await client.replies(2), Array(2).fill({ error: 'io.systemd.System', parameters }));
      t.same(fixture.failures, []);
    }),
  ),
);

t.test('descriptors belong to the call that they were sent with, also when several calls are read at once', (t) =>
  withFiles(4, (files) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      const inodeCall = call('Inode', { fd: 0 });
      client.send(call('Nothing'));
      client.sendWith(files.slice(0, 1), inodeCall);
      client.send(call('Nothing'), call('Nothing'));
      client.sendWith(files.slice(1, 3), inodeCall);
      client.sendWith(files.slice(3), inodeCall);
      const none = { parameters: {} };
      const answer = (file: number, count: number) => ({ parameters: { inode: inode(files[file]), count } });
      const replies = await client.replies(6);
      t.same(replies, [none, answer(0, 1), none, none, answer(1, 2), answer(3, 1)]);
    }),
  ),
);

t.test('descriptors that come with any part of a call are its own, in the order they came', (t) =>
  withFiles(3, (files) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      const bytes = frame(call('Inode', { fd: 2 }));
      client.sendBytes(bytes.subarray(0, 10), files.slice(0, 1));
      await turn();
      client.sendBytes(bytes.subarray(10, 20));
      await turn();
      client.sendBytes(bytes.subarray(20), files.slice(1));
      t.same(await client.replies(1), [{ parameters: { inode: inode(files[2]), count: 3 } }]);
    }),
  ),
);

t.test('a method takes a descriptor for itself, and only once', (t) => {
  const kept: Fd[] = [];
  const service = exampleService({
    Keep: ({ fd }, call) => {
      kept.push(call.takeFd(fd));
      t.throws(() => call.fd(fd));
      t.throws(() => call.takeFd(fd));
    },
  });
  return withFiles(1, (files) =>
    withServer(service, async (fixture) => {
      const client = fixture.raw();
      client.sendWith(files, call('Keep', { fd: 0 }));
      t.same(await client.replies(1), [{ parameters: {} }]);
      t.equal(inode(kept[0]?.number), inode(files[0]));
      kept[0]?.close();
    }),
  );
});

/** Sends what ends badly or is not taken, and sees that nothing stays open. */
const leftovers: [string, object | string][] = [
  ['a method that does not use them', call('Nothing')],
  ['an unknown method', call('Missing')],
  ['a method that fails', call('Inode', { fd: 200 })],
  ['a wrong parameter', call('Inode', { fd: 'x' })],
  ['a oneway call', call('Nothing', {}, { oneway: true })],
  ['garbage', 'garbage'],
  ['no call', '{}'],
];

for (const [what, message] of leftovers) {
  t.test(`descriptors sent with ${what} are closed`, (t) =>
    withFiles(20, (files) =>
      withServer(exampleService(), async (fixture) => {
        const client = fixture.raw();
        const other = fixture.raw();
        other.send(call('Nothing'));
        await other.replies(1);
        const before = openFds();
        client.sendWith(files, message);
        await until(
          'the descriptors to be closed',
          () => client.closed || client.messages.length > 0 || 'oneway' in Object(message),
        );
        if (!client.closed) {
          client.send(call('Nothing'));
          await until('the next call', () => client.messages.length > 0);
        }
        await until(`${before} descriptors`, () => openFds() <= before);
        t.ok(openFds() <= before);
      }),
    ),
  );
}

t.test('descriptors of an incomplete call are closed with the connection', (t) =>
  withFiles(20, (files) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      client.send(call('Nothing'));
      await client.replies(1);
      const before = openFds();
      client.sendBytes(Buffer.from('{"method":'), files);
      await until('their arrival', () => openFds() === before + 20);
      client[Symbol.dispose]();
      await until('their end', () => openFds() === before - 2);
      t.pass();
    }),
  ),
);

t.test('descriptors of calls that wait behind a slow one are closed with the connection', (t) => {
  let begun = false;
  const service = exampleService({
    Later: () => {
      begun = true;
      return new Promise(() => {});
    },
  });
  return withFiles(3, (files) =>
    withServer(service, async (fixture) => {
      const client = fixture.raw();
      client.send(call('Later', { value: 1 }));
      client.sendWith(files, call('Keep', { fd: 0 }));
      await until('the call to begin', () => begun);
      client[Symbol.dispose]();
      await turn();
      t.pass('withServer counts');
    }),
  );
});

t.test('a descriptor stays open for a promise whose client has gone, until it settles', (t) => {
  let finish = () => {};
  let seen = 0;
  const service = exampleService({
    Keep: async ({ fd }, call) => {
      const number = call.fd(fd);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      seen = inode(number);
    },
  });
  return withFiles(1, (files) =>
    withServer(service, async (fixture) => {
      const client = fixture.raw();
      client.sendWith(files, call('Keep', { fd: 0 }));
      await until('the call', () => fixture.connections === 1);
      client[Symbol.dispose]();
      const other = fixture.raw();
      other.send(call('Nothing'));
      await other.replies(1);
      finish();
      await until('the handler to go on', () => seen !== 0);
      t.equal(seen, inode(files[0]));
    }),
  );
});

t.test('253 descriptors with one call are fine; more, spread over its parts, are refused', (t) =>
  withFiles(253, (files) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      client.sendWith(files, call('Inode', { fd: 252 }));
      t.same(await client.replies(1), [{ parameters: { inode: inode(files[252]), count: 253 } }]);
      client.sendBytes(Buffer.from('{"method":'), files);
      await turn();
      client.sendBytes(Buffer.from('"a.b"}\0'), files.slice(0, 1));
      client.send(call('Nothing'));
      t.same(await client.replies(2), [systemError(109, 'ETOOMANYREFS'), { parameters: {} }]);
    }),
  ),
);

t.test('a reply brings descriptors, and the server keeps none', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.send(call('Nothing'));
    await client.replies(1);
    const before = openFds();
    client.send(call('Open', { path: '/etc/hostname' }), call('Nothing'));
    t.same(await client.replies(2), [{ parameters: { fd: 0 } }, { parameters: {} }]);
    t.equal(client.fds.length, 1);
    t.equal(openFds(), before + 1);
    const [fd] = client.fds;
    t.equal(readFileSync(fd?.number ?? -1, 'utf8'), readFileSync('/etc/hostname', 'utf8'));
  }),
);

t.test('descriptors for a reply that is not sent are closed', (t) => {
  const service = exampleService({
    Open: ({ path }, call) => {
      const fd = openSync(path, 'r');
      call.passFd({ number: fd, close: () => closeSync(fd) } as Fd);
      throw new Error('after all not');
    },
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Open', { path: '/etc/hostname' }));
    t.match(await client.replies(1), [{ error: 'io.systemd.System' }]);
    t.equal(client.fds.length, 0);
  });
});
