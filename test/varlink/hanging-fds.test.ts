import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, openSync } from 'node:fs';
import { Fd, isNeverFlushed, pipe, spawn as spawnProgram } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { FuseMount, noFuse } from '../support/fuse-mount.js';
import { LingeringSocket } from '../support/lingering-socket.js';
import { programPath } from '../support/program-path.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { call, exampleService } from './example.js';
import { type Fixture, frame, systemError, turn, until, withServer } from './fixture.js';

const PROGRAM = programPath('./programs/pass-fds.js', import.meta.url);

/** A user of no system. */
const STRANGER = 60_611;
const MESSAGES = 12;

const nothing = { parameters: {} };
const denied = { error: 'org.varlink.service.PermissionDenied', parameters: {} };

/** Starts the stranger, and resolves when it has sent its messages. */
async function pass(what: string, fixture: Fixture, count = MESSAGES, bytes?: Buffer): Promise<ChildProcess> {
  const message = bytes === undefined ? [] : [bytes.toString('base64')];
  const stranger = spawn(process.execPath, [PROGRAM, what, fixture.path, String(STRANGER), String(count), ...message], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(stranger.stdout as NodeJS.ReadableStream, 'data');
  return stranger;
}

/** Others are answered while and after it hangs, and the stranger is not served with descriptors any more. */
async function othersAreServed(t: Test, fixture: Fixture, passAgain: () => Promise<ChildProcess>): Promise<void> {
  const other = fixture.raw();
  let calls = 0;
  while (!fixture.events.some(({ type }) => type === 'stuck')) {
    other.send(call('Echo', { text: String(calls) }));
    t.same(await other.replies(1), [{ parameters: { text: String(calls) } }]);
    calls++;
  }
  t.ok(calls > 0, `${calls} calls were answered meanwhile`);
  t.match(
    fixture.events.find(({ type }) => type === 'stuck'),
    { uid: STRANGER },
  );
  const again = await passAgain();
  await until('the refusal', () => fixture.refusals.some(({ reason }) => reason === 'bar'));
  t.match(fixture.refusals, [{ uid: STRANGER, reason: 'bar' }]);
  again.kill('SIGKILL');
  other.send(call('Nothing'));
  t.same(await other.replies(1), [nothing]);
}

t.test('a dozen sockets that linger when they are closed hold up nobody, and their sender passes no more', (t) =>
  withServer(exampleService(), async (fixture) => {
    const strangers: ChildProcess[] = [];
    const passSome = async (count: number) => {
      const stranger = await pass('linger', fixture, count);
      strangers.push(stranger);
      return stranger;
    };
    await passSome(MESSAGES);
    await othersAreServed(t, fixture, () => passSome(1));
    for (const stranger of strangers) stranger.kill('SIGKILL');
  }),
);

/** Runs `test` with a mounted file system, whose end lets all processes go that hang. */
async function withMount(test: (mount: FuseMount) => Promise<void>): Promise<void> {
  const mount = await FuseMount.mount();
  try {
    await test(mount);
  } finally {
    await mount.release();
  }
}

t.test('a dozen files whose file system does not answer FLUSH hold up nobody', { skip: noFuse }, (t) =>
  withServer(exampleService(), (fixture) =>
    withMount(async (mount) => {
      const stranger = await pass(mount.file, fixture);
      await othersAreServed(t, fixture, () => pass(mount.file, fixture, 1));
      stranger.kill('SIGKILL');
    }),
  ),
);

/** Where descriptors are while something is waited for. */
const waits: [string, Buffer][] = [
  ['a message that is not finished', Buffer.from('{')],
  ['a call that is not answered', frame(call('Later', { value: 1 }))],
  ['a call behind that', Buffer.concat([frame(call('Later', { value: 1 })), frame(call('Nothing'))])],
];

for (const [what, bytes] of waits) {
  t.test(`a process can be started while a file that hangs came with ${what}`, { skip: noFuse }, (t) =>
    withServer(
      exampleService({ Later: () => new Promise(() => {}) }),
      (fixture) =>
        withMount(async (mount) => {
          const stranger = await pass(mount.file, fixture, 1, bytes);
          await until('its message', () => fixture.accepted === 1);
          for (let turns = 0; turns < 20; turns++) await turn();
          using child = spawnProgram('true');
          t.match(waitForExit(child), { code: 'exited', status: 0 });
          stranger.kill('SIGKILL');
        }),
      { holdFd: isNeverFlushed },
    ),
  );
}

t.test('a handler starts a process though its own call and others brought files that hang', { skip: noFuse }, (t) => {
  let started = 0;
  const service = exampleService({
    Nothing: () => {
      using child = spawnProgram('true');
      waitForExit(child);
      started++;
    },
  });
  return withServer(
    service,
    (fixture) =>
      withMount(async (mount) => {
        // More than are closed in a row.
        const stranger = await pass(mount.file, fixture, 12);
        await until('all to be answered', () => started === 12);
        stranger.kill('SIGKILL');
        t.same(fixture.failures, []);
      }),
    { holdFd: isNeverFlushed },
  );
});

t.test('a descriptor that may not be held is not there for what comes later; others are', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const client = fixture.raw();
      const [reader, writer] = pipe();
      const directory = new Fd(openSync('/', 'r'));
      const fds = [reader.number, directory.number, writer.number];
      for (const [fd, reply] of [
        [0, systemError(6, 'ENXIO')],
        [1, { parameters: { inode: fstatSync(directory.number).ino, count: 3 } }],
        [2, systemError(6, 'ENXIO')],
      ] as const) {
        const bytes = frame(call('Inode', { fd }));
        client.sendBytes(bytes.subarray(0, 10), fds);
        for (let turns = 0; turns < 5; turns++) await turn();
        client.sendBytes(bytes.subarray(10));
        t.same(await client.replies(1), [reply]);
      }
      for (const fd of [reader, writer, directory]) fd.close();
    },
    { holdFd: isNeverFlushed },
  ),
);

t.test('a barred user may still call without descriptors', (t) => {
  const bars = new Set([process.getuid?.() ?? 0]);
  return withServer(
    exampleService(),
    async (fixture) => {
      const client = fixture.raw();
      client.send(call('Nothing'));
      t.same(await client.replies(1), [nothing]);
      client.sendWith([0], call('Nothing'));
      await client.end();
      t.same(await client.replies(2), [denied]);
    },
    { bars },
  );
});

/** What ends a connection with a socket that lingers in it, and how. The last descriptor of it must be the server's. */
const ends: [string, (fixture: Fixture, socket: LingeringSocket) => Promise<void>][] = [
  [
    'unread, behind a call that is not answered',
    async (fixture, { fd }) => {
      const client = fixture.raw();
      client.send(call('Later', { value: 1 }));
      await until('the call', () => fixture.connections === 1);
      client.sendWith([fd.number], call('Nothing'));
      fd.close();
      await turn();
      client[Symbol.dispose]();
    },
  ],
  [
    'in a message that is not finished',
    async (fixture, { fd }) => {
      const client = fixture.raw();
      client.sendBytes(Buffer.from('{'), [fd.number]);
      fd.close();
      await until('the connection', () => fixture.accepted === 1);
      for (let turns = 0; turns < 5; turns++) await turn();
      client[Symbol.dispose]();
    },
  ],
  [
    'with garbage',
    async (fixture, { fd }) => {
      const client = fixture.raw();
      client.sendWith([fd.number], 'garbage');
      fd.close();
      await client.end();
    },
  ],
  [
    'in a connection that is refused',
    async (fixture, { fd }) => {
      const clients = Array.from({ length: 2 }, () => fixture.raw());
      await until('two connections', () => fixture.accepted === 2);
      const late = fixture.raw();
      late.sendWith([fd.number], call('Nothing'));
      fd.close();
      await late.end();
      for (const client of clients) client[Symbol.dispose]();
    },
  ],
];

for (const [what, end] of ends) {
  t.test(`a socket that lingers, ${what}, does not hang the server that drops it`, (t) =>
    withServer(
      exampleService({ Later: () => new Promise(() => {}) }),
      async (fixture) => {
        const lingering = new LingeringSocket();
        await end(fixture, lingering);
        await until('the event', () => fixture.events.some(({ type }) => type === 'stuck'));
        const other = fixture.raw();
        other.sendBytes(frame(call('Nothing')));
        t.same(await other.replies(1), [nothing]);
        lingering.release();
      },
      { limits: { connectionsPerUser: 2 } },
    ),
  );
}
