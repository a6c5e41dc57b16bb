import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fd, socketPair } from '@sdrx/linux';
import type { Answer, Call } from '@sdrx/varlink';
import { from, lastValueFrom, map, Observable, takeWhile, tap, timer, toArray } from 'rxjs';
import t from 'tap';
import { call, example, exampleService } from './example.js';
import { type Fixture, frame, openFds, systemError, turn, until, withServer } from './fixture.js';

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

/** The inodes of all that this process has open. */
function openInodes(): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [inode(Number(fd))];
    } catch {
      // That of the folder itself is closed again.
      return [];
    }
  });
}

/** What came with each of the replies: which of the files, and what the reply says of them. */
async function passed(fixture: Fixture, files: readonly number[]): Promise<[number[], unknown][]> {
  const paths = files.map((fd) => `/proc/self/fd/${fd}`);
  const answers = await lastValueFrom(fixture.client().more(example.methods.OpenAll, { paths }).pipe(toArray()));
  return answers.map(({ fds, parameters }) => {
    const places = fds.map((fd) => files.findIndex((file) => inode(file) === inode(fd.number)));
    for (const fd of fds) fd.close();
    return [places, parameters.fds];
  });
}

/** As many files, each of another inode, that can be opened once more. */
function withOpenable(count: number, body: (fds: number[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sdrx-fds-'));
  const fds = Array.from({ length: count }, (_, index) => openSync(join(folder, String(index)), 'w+'));
  return body(fds).finally(() => {
    for (const fd of fds) closeSync(fd);
    rmSync(folder, { recursive: true });
  });
}

type OpenAll = NonNullable<NonNullable<Parameters<typeof exampleService>[0]>['OpenAll']>;

/** Two files go with the first reply, none with the second, and the third with the last. */
function* replies(paths: readonly string[], call: Call): Generator<{ fds: number[] }, undefined> {
  const [one = '', two = '', three = ''] = paths;
  yield { fds: [pass(call, one), pass(call, two)] };
  yield { fds: [] };
  yield { fds: [pass(call, three)] };
  return undefined;
}

function pass(call: Call, path: string): number {
  return call.passFd(new Fd(openSync(path, 'r')));
}

const ways: [string, OpenAll][] = [
  ['given at once', ({ paths }, call) => from(replies(paths, call))],
  [
    'given one by one',
    ({ paths }, call) => {
      const all = replies(paths, call);
      return timer(0, 1).pipe(
        map(() => all.next().value),
        takeWhile((reply) => reply !== undefined),
      );
    },
  ],
  [
    'told by notify, but for the last',
    ({ paths }, call) =>
      new Observable((subscriber) => {
        const all = replies(paths, call);
        for (let next = all.next(); next.done !== true; next = all.next()) {
          if (next.value.fds.length === 1) subscriber.next(next.value);
          else call.notify(next.value);
        }
        subscriber.complete();
      }),
  ],
];

for (const [how, handler] of ways) {
  t.test(`each of several replies, ${how}, comes with the descriptors passed for it`, (t) =>
    withOpenable(3, (files) =>
      withServer(exampleService({ OpenAll: handler }), async (fixture) => {
        t.same(await passed(fixture, files), [
          [
            [0, 1],
            [0, 1],
          ],
          [[], []],
          [[2], [0]],
        ]);
      }),
    ),
  );
}

t.test('a descriptor a reply: each comes with its own', (t) =>
  withOpenable(5, (files) =>
    withServer(exampleService(), async (fixture) => {
      t.same(
        await passed(fixture, files),
        files.map((_, index) => [[index], [0]]),
      );
    }),
  ),
);

t.test(
  'descriptors that no reply takes are closed: of a call that fails, after the last reply, of a client that left',
  (t) =>
    withOpenable(2, (files) => {
      const [one = '', two = ''] = files.map((fd) => `/proc/self/fd/${fd}`);
      let end: () => void = () => {};
      const service = exampleService({
        OpenAll: ({ paths: [how] }, call) =>
          new Observable((subscriber) => {
            subscriber.next({ fds: [pass(call, one)] });
            pass(call, two);
            if (how === 'fail') subscriber.error(example.errors.Plain());
            if (how === 'complete') subscriber.complete();
            end = () => subscriber.complete();
          }),
      });
      return withServer(service, async (fixture) => {
        const { OpenAll } = example.methods;
        for (const how of ['fail', 'complete']) {
          const places: number[] = [];
          const all = fixture.client().more(OpenAll, { paths: [how] });
          const take = tap<Answer>(({ fds }) => {
            for (const fd of fds) {
              places.push(files.findIndex((file) => inode(file) === inode(fd.number)));
              fd.close();
            }
          });
          await lastValueFrom(all.pipe(take)).catch((error: unknown) =>
            t.match(error, { error: 'org.example.test.Plain' }),
          );
          t.same(places, [0], how);
        }
        const client = fixture.client();
        client.more(OpenAll, { paths: ['stay'] }).subscribe({ error: () => {} });
        const copies = () => files.map((file) => openInodes().filter((other) => other === inode(file)).length);
        await until('both to be passed', () => copies().every((count) => count === 2));
        client[Symbol.dispose]();
        await until('both to be closed', () => copies().every((count) => count === 1));
        end();
        t.same(fixture.failures, []);
      });
    }),
);

t.test('a client that takes one reply, or none, leaves no descriptor behind', (t) =>
  withOpenable(3, (files) => {
    const paths = files.map((fd) => `/proc/self/fd/${fd}`);
    const notifying: OpenAll = ({ paths: [one = '', two = ''] }, call) => {
      call.notify({ fds: [pass(call, one)] });
      return { fds: [pass(call, two)] };
    };
    return withServer(exampleService({ OpenAll: notifying }), async (fixture) => {
      const client = fixture.client();
      client.oneway(example.methods.OpenAll, { paths });
      const { fds, parameters } = await client.call(example.methods.OpenAll, { paths });
      t.same(parameters.fds, [0]);
      t.same(
        fds.map((fd) => inode(fd.number)),
        [inode(files[1])],
      );
      for (const fd of fds) fd.close();
    });
  }),
);

t.test('a reply is what it was when it was given, whatever becomes of the object', (t) => {
  const reply = { value: 0 };
  const service = exampleService({
    Count: ({ to }) =>
      new Observable((subscriber) => {
        for (; reply.value < to; reply.value++) subscriber.next(reply);
        subscriber.complete();
      }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Count', { to: 3 }, { more: true }));
    t.same(await client.replies(3), [
      { parameters: { value: 0 }, continues: true },
      { parameters: { value: 1 }, continues: true },
      { parameters: { value: 2 } },
    ]);
  });
});

t.test('more descriptors than a message carries are refused, and closed', (t) =>
  withOpenable(1, (files) => {
    const path = `/proc/self/fd/${files[0]}`;
    let thrown: unknown;
    const service = exampleService({
      OpenAll: (_, call) => {
        const fds = Array.from({ length: 253 }, () => pass(call, path));
        try {
          pass(call, path);
        } catch (error) {
          thrown = error;
        }
        return { fds };
      },
    });
    return withServer(service, async (fixture) => {
      const { fds } = await fixture.client().call(example.methods.OpenAll, { paths: [] });
      t.equal(fds.length, 253);
      for (const fd of fds) fd.close();
      t.match(thrown, { name: 'RangeError', message: /253/ });
    });
  }),
);
