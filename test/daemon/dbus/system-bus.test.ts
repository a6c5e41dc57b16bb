import { createServer, type Server, type Socket } from 'node:net';
import { BusError, type MethodCall, NoBusError, SystemBus } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { openFile } from '@sdrx/linux';
import { firstValueFrom } from 'rxjs';
import t, { type Test } from 'tap';
import { Folder } from '../../support/folder.js';
import { MessageBus } from '../../support/message-bus.js';
import { leavingNothingSoon, openFds } from '../../support/nothing-left.js';
import { until, untilOr } from '../../support/until.js';

const LIMIT = 60_000;

const BUS = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' };
const GET_ID: MethodCall = { ...BUS, member: 'GetId', signature: '', write: () => {} };
const NO_METHOD: MethodCall = { ...BUS, member: 'NoSuchMethod', signature: '', write: () => {} };
const OWNER: MethodCall = {
  ...BUS,
  member: 'NameHasOwner',
  signature: 's',
  write: (body) => body.string('org.freedesktop.DBus'),
};

/** How many times this process has /dev/null open. */
function openNulls(): number {
  return openFds().filter((fd) => fd.includes('/dev/null')).length;
}

/** How many sockets this process has. */
function openSockets(): number {
  return openFds().filter((fd) => fd.includes('socket:')).length;
}

/** Runs a loop while something is done with a bus. */
async function withBus(
  addresses: readonly string[],
  options: ConstructorParameters<typeof SystemBus>[2],
  body: (bus: SystemBus) => Promise<unknown>,
): Promise<void> {
  using loop = new EventLoop();
  const finished = loop.run();
  {
    using bus = new SystemBus(loop, addresses, options);
    await body(bus);
  }
  loop.exit(0);
  await finished;
}

/** What stands in the place of a bus, and says what it is told to say when it is first told something. */
async function impostor(t: Test, path: string, words: string | Buffer): Promise<{ server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', () => socket.write(words));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets };
}

t.test('a real bus', async (t) => {
  const daemon = await MessageBus.start(t);
  const { path } = daemon;
  const call = async (bus: SystemBus, what: MethodCall) => await firstValueFrom(bus.call(what));

  await t.test(
    'answers, also many calls at once',
    leavingNothingSoon(async (t) => {
      await withBus([path], {}, async (bus) => {
        t.match((await call(bus, GET_ID)).body.string(), /^[0-9a-f]{32}$/);
        const answers = await Promise.all(Array.from({ length: 200 }, () => call(bus, OWNER)));
        for (const { signature, body } of answers) t.strictSame([signature, body.boolean()], ['b', true]);
      });
    }),
  );

  await t.test(
    'refuses by an error with a name and a text',
    leavingNothingSoon(async (t) => {
      await withBus([path], {}, async (bus) => {
        const error = await call(bus, NO_METHOD).catch((error: unknown) => error);
        t.ok(error instanceof BusError);
        t.match(error, { error: 'org.freedesktop.DBus.Error.UnknownMethod', text: /NoSuchMethod/ });
      });
    }),
  );

  await t.test(
    'is left when nobody calls any more, and found again',
    leavingNothingSoon(async (t) => {
      await withBus([path], { idleTime: 1 }, async (bus) => {
        const before = openSockets();
        await call(bus, GET_ID);
        t.ok(openSockets() > before);
        await untilOr(
          LIMIT,
          () => openSockets() === before,
          () => openFds().join('\n'),
        );
        t.match((await call(bus, GET_ID)).signature, 's');
      });
    }),
  );

  await t.test(
    'is looked for at one address after the other',
    leavingNothingSoon(async (t) => {
      await withBus(['/nonexistent/a', path], {}, async (bus) => t.equal((await call(bus, GET_ID)).signature, 's'));
    }),
  );

  await t.test('that ends fails the calls that wait; one that comes again is found', async (t) => {
    await withBus([path], {}, async (bus) => {
      await call(bus, GET_ID);
      daemon.kill('SIGSTOP');
      const waiting = [call(bus, GET_ID), call(bus, OWNER)].map((answer) => answer.catch((error: unknown) => error));
      await daemon.stop();
      for (const error of await Promise.all(waiting)) t.match(error, { code: 'ECONNRESET' });
      await t.rejects(call(bus, GET_ID), { code: 'ECONNREFUSED' });
      await daemon.start();
      t.equal((await call(bus, GET_ID)).signature, 's');
    });
  });

  await t.test(
    'that does not answer costs the one who waits an error',
    leavingNothingSoon(async (t) => {
      await withBus([path], { answerTime: 50 }, async (bus) => {
        daemon.kill('SIGSTOP');
        await t.rejects(call(bus, GET_ID), { code: 'ETIMEDOUT', syscall: 'GetId' });
        daemon.kill('SIGCONT');
      });
    }),
  );

  await t.test(
    'that takes nothing is sent no more than so much',
    leavingNothingSoon(async (t) => {
      await withBus([path], {}, async (bus) => {
        daemon.kill('SIGSTOP');
        const before = openNulls();
        let refused: unknown;
        const prepare = () => ({ fds: [openFile('/dev/null')] });
        const calls = Array.from({ length: 2000 }, () =>
          bus.call(GET_ID, prepare).subscribe({
            error: (error: unknown) => {
              refused ??= error;
            },
          }),
        );
        t.match(refused, { code: 'EAGAIN' });
        for (const subscription of calls) subscription.unsubscribe();
        t.equal(openNulls(), before, 'what was to be sent is closed');
        daemon.kill('SIGCONT');
        t.equal((await call(bus, GET_ID)).signature, 's', 'and it goes on');
      });
    }),
  );
});

t.test('there is no bus', async (t) => {
  await withBus(['/nonexistent/a', '@sdrx-test-no-bus'], {}, async (bus) => {
    await t.rejects(firstValueFrom(bus.call(GET_ID)), { code: 'ECONNREFUSED' }, 'an abstract one is there or refuses');
  });
  await withBus(['/nonexistent/a', '/nonexistent/b'], {}, async (bus) => {
    const error = await firstValueFrom(bus.call(GET_ID)).catch((error: unknown) => error);
    t.ok(error instanceof NoBusError);
    t.match(error, { message: 'no message bus at /nonexistent/a, /nonexistent/b' });
  });
});

t.test('what is no bus', async (t) => {
  using folder = new Folder();
  const greeting = 'OK 0123\r\nAGREE_UNIX_FD\r\n';
  for (const [what, words, code] of [
    ['that does not know us', 'REJECTED EXTERNAL\r\n', 'EACCES'],
    ['that takes no descriptors', 'OK 0123\r\nERROR\r\n', 'EPROTO'],
    ['that says anything', 'HTTP/1.1 400 Bad Request\r\n', 'EPROTO'],
    ['that never ends a line', 'x'.repeat(5000), 'EPROTO'],
    ['that sends no messages', `${greeting}${'x'.repeat(16)}`, undefined],
  ] as const) {
    await t.test(what, async (t) => {
      const path = folder.join(what);
      await impostor(t, path, words);
      await withBus([path], {}, async (bus) => {
        const error = await firstValueFrom(bus.call(GET_ID)).catch((error: unknown) => error);
        t.match(error, code === undefined ? { name: 'MalformedMessageError' } : { code });
      });
    });
  }
  await t.test('that says nothing', async (t) => {
    const path = folder.join('mute');
    const { sockets } = await impostor(t, path, '');
    await withBus([path], { answerTime: 50 }, async (bus) => {
      await t.rejects(firstValueFrom(bus.call(GET_ID)), { code: 'ETIMEDOUT' });
      await until(() => sockets.length > 0);
    });
  });
});
