import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { bind, type Fd, listen, unixSocket } from '@sdrx/linux';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { passedSocket } from '../support/passed-socket.js';
import { processFds } from '../support/process-fds.js';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { untilOr } from '../support/until.js';
import { failedStart } from './failed-start.js';
import { type ExampleOptions, RunningExample } from './running-example.js';

const PROGRAM = programPath('../../../examples/dist/nbd-export.js', import.meta.url);
const MIB = 1024 * 1024;
/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

/** What images have behind their hole. To qemu, sizes are multiples of 512. */
const TAIL = MIB + 512;

/** An image with data at both ends and a hole between them. */
function makeImage(path: string, tail = TAIL): Buffer {
  const file = openSync(path, 'w');
  writeSync(file, randomBytes(3 * MIB), 0, 3 * MIB, 0);
  writeSync(file, randomBytes(tail), 0, tail, 20 * MIB);
  closeSync(file);
  return readFileSync(path);
}

/** Runs a client to its end. Throws when it fails. @returns its output */
function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', timeout: LIMIT });
}

/** Runs lines of Python with `h`, a handle of libnbd. @param args what they find in `sys.argv` */
function nbdsh(lines: string, ...args: string[]): string {
  const [python, ...options] = ['/usr/bin/python3', '-c', `import nbd, os, sys\nh = nbd.NBD()\n${lines}`];
  return run(python, ...options, ...args);
}

/** The example at a Unix socket in a folder of its own. */
async function exporting(t: Test, options: ExampleOptions = {}, tail = TAIL) {
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const [image, path] = [folder.join('image'), folder.join('socket')];
  const content = makeImage(image, tail);
  const args = [image, `--listen=unix:${path}`, ...(options.args ?? [])];
  const example = new RunningExample(t, 'nbd-export', { ...options, args });
  const uri = `nbd+unix:///?socket=${path}`;
  await example.prints(`listening at ${uri}`);
  return { folder, image, path, content, example, uri };
}

/** Ends the example, and looks whether it left anything. */
async function ends(t: Test, example: RunningExample, folder: Folder): Promise<void> {
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  t.notOk(readdirSync(folder.path).includes('socket'), 'its socket is gone');
}

/** What libnbd, qemu and we say of the same export. */
function compareByClients(t: Test, uri: string, image: string, content: Buffer, folder: Folder): void {
  const { exports } = JSON.parse(run('nbdinfo', '--json', uri));
  t.match(exports, [{ 'export-name': '', 'export-size': content.length, is_read_only: false, can_multi_conn: true }]);
  t.match(JSON.parse(run('nbdinfo', '--json', '--list', uri)).exports, [{ 'export-name': '' }]);

  const [copy, qcow2] = [folder.join('copy'), folder.join('qcow2')];
  run('nbdcopy', uri, copy);
  t.ok(readFileSync(copy).equals(content), 'nbdcopy reads the same bytes');
  run('qemu-img', 'convert', '-O', 'qcow2', uri, qcow2);
  t.match(run('qemu-img', 'compare', qcow2, image), /identical/);
  t.match(run('qemu-img', 'compare', uri, image), /identical/);

  const changed = randomBytes(content.length);
  writeFileSync(copy, changed);
  run('nbdcopy', '--flush', copy, uri);
  t.ok(readFileSync(image).equals(changed), 'nbdcopy writes the same bytes');
  run('qemu-img', 'convert', '-n', '-O', 'raw', qcow2, uri);
  t.ok(readFileSync(image).equals(content), 'qemu-img writes the same bytes');
}

t.test('real clients read and write the same bytes through a Unix socket, which goes at the end', async (t) => {
  const { folder, image, content, example, uri, path } = await exporting(t);
  t.equal(statSync(path).mode & 0o777, 0o600);
  compareByClients(t, uri, image, content, folder);
  await ends(t, example, folder);
});

t.test('the same by TCP, where the kernel chooses the port', async (t) => {
  using folder = new Folder();
  const image = folder.join('image');
  const content = makeImage(image);
  const example = new RunningExample(t, 'nbd-export', { args: [image, '--listen=tcp:[::1]:0'] });
  await example.prints(/^listening at nbd:\/\/\[::1\]:\d+$/);
  compareByClients(t, example.lines[0]?.split(' ').at(-1) ?? '', image, content, folder);
  await ends(t, example, folder);
});

t.test('each socket that is passed serves the same export', async (t) => {
  using folder = new Folder();
  const manager = new ServiceManager(t);
  const image = folder.join('image');
  const content = makeImage(image);
  const sockets = [passedSocket(t), passedSocket(t)];
  const example = new RunningExample(t, 'nbd-export', {
    args: [image],
    // Equal names, and more of them than sockets: they are not looked at.
    environment: { NOTIFY_SOCKET: manager.notifySocket, WATCHDOG_USEC: '1000000', LISTEN_FDNAMES: 'a:a:a' },
    listener: sockets.map(({ fd }) => fd.number),
  });
  await manager.waitFor(/^READY=1$/);
  for (const { path } of sockets) compareByClients(t, `nbd+unix:///?socket=${path}`, image, content, folder);
  await manager.waitFor(/^WATCHDOG=1$/);
  await ends(t, example, folder);
  await manager.waitFor(/^STOPPING=1$/);
  for (const { path } of sockets) t.ok(statSync(path).isSocket(), 'the path of a passed socket stays');
});

const ACTIVATE = `
h.add_meta_context('base:allocation')
h.connect_systemd_socket_activation(sys.argv[1:])
size = h.get_size()
data = h.pread(size, 0)
h.pwrite(data[::-1], 0, nbd.CMD_FLAG_FUA)
h.flush()
h.shutdown()
del h
`;

t.test('libnbd activates it', async (t) => {
  using folder = new Folder();
  const image = folder.join('image');
  const content = makeImage(image);
  nbdsh(ACTIVATE, process.execPath, PROGRAM, image);
  t.ok(readFileSync(image).equals(Buffer.from(content).reverse()));
  const refused = spawnSync('nbdinfo', ['--', '[', process.execPath, PROGRAM, image, '--listen=unix:@x', ']'], {
    encoding: 'utf8',
  });
  t.not(refused.status, 0);
  t.match(refused.stderr, /^nbd-export: --listen=unix:@x can't be given/m);
});

const COMMANDS = `
h.add_meta_context('base:allocation')
h.connect_uri(sys.argv[1])
size = h.get_size()
def extents(count, offset, flags=0):
    found = []
    h.block_status(count, offset, lambda context, at, entries, error: found.extend(entries), flags)
    return found
M = 1024 * 1024
assert extents(size, 0) == [3 * M, 0, 17 * M, 3, M + 7, 0], extents(size, 0)
assert extents(size, 0, nbd.CMD_FLAG_REQ_ONE) == [3 * M, 0]
assert extents(M, 4 * M) == [M, 3]
h.zero(M, 0)
assert extents(2 * M, 0) == [M, 3, M, 0]
assert h.pread(M, 0) == bytearray(M)
stored = os.stat(sys.argv[2]).st_blocks
h.zero(M, M, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
assert os.stat(sys.argv[2]).st_blocks >= stored
assert h.pread(M, M) == bytearray(M)
h.pwrite(b'x' * 4096, 5 * M)
assert extents(2 * M, 4 * M) == [M, 3, 4096, 0, M - 4096, 3]
h.trim(4096, 5 * M, nbd.CMD_FLAG_FUA)
assert extents(M, 5 * M) == [M, 3]
assert h.pread_structured(100, 5 * M, lambda *rest: None, nbd.CMD_FLAG_DF) == bytearray(100)
`;

for (const place of ['/var/tmp', '/dev/shm']) {
  t.test(`holes are told and made, zeroes and trims are done, in ${place}`, async (t) => {
    process.env.TMPDIR = place;
    t.teardown(() => delete process.env.TMPDIR);
    const { example, folder, image, uri } = await exporting(t, {}, MIB + 7);
    nbdsh(COMMANDS, uri, image);
    await ends(t, example, folder);
  });
}

const REFUSED = `
h.add_meta_context('base:allocation')
h.set_strict_mode(0)
h.connect_uri(sys.argv[1])
size = h.get_size()
def refused(errno, call):
    try:
        call()
    except nbd.Error as error:
        assert error.errno == errno, error
    else:
        assert False, 'it is not refused'
refused(sys.argv[2], lambda: h.pwrite(b'x', 0))
refused(sys.argv[2], lambda: h.trim(1, 0))
refused(sys.argv[2], lambda: h.zero(1, 0))
refused('EINVAL', lambda: h.pread(1, size))
refused('EINVAL', lambda: h.pread(2, size - 1))
refused('EINVAL', lambda: h.pread(1, 2 ** 63 - 1))
refused('EINVAL', lambda: h.pread(33 * 1024 * 1024, 0))
refused('EINVAL', lambda: h.pread(1, 0, nbd.CMD_FLAG_NO_HOLE))
refused('EINVAL', lambda: h.cache(1, 0))
refused('EINVAL', lambda: h.block_status(1, size, lambda *rest: None))
h.pread(1, size - 1)
`;

t.test(
  'an export is read-only when it is asked to be; a request that is refused leaves its client connected',
  async (t) => {
    const { example, folder, image, content, uri } = await exporting(t, { args: ['--read-only'] });
    t.match(JSON.parse(run('nbdinfo', '--json', uri)).exports, [{ is_read_only: true, can_trim: false }]);
    nbdsh(REFUSED, uri, 'EPERM');
    t.ok(readFileSync(image).equals(content));
    await ends(t, example, folder);
  },
);

const BEYOND = `
h.set_strict_mode(0)
h.connect_uri(sys.argv[1])
def code(call):
    try:
        call()
    except nbd.Error as error:
        return error.errno
size = h.get_size()
print(code(lambda: h.pwrite(b'xy', size - 1)), code(lambda: h.zero(2, size - 1)), code(lambda: h.trim(2, size - 1)))
sys.stdin.readline()
`;

t.test(
  'what is beyond the end is refused for want of space; a file that becomes shorter is an I/O error',
  async (t) => {
    const { example, folder, image, uri } = await exporting(t);
    t.equal(nbdsh(BEYOND, uri), 'ENOSPC ENOSPC EINVAL\n');
    truncateSync(image, 10);
    t.equal(
      nbdsh(`h.connect_uri(sys.argv[1])\ntry: h.pread(11, 0)\nexcept nbd.Error as e: print(e.errno)`, uri),
      'EIO\n',
    );
    t.match(Number(run('nbdinfo', '--size', uri)), 20 * MIB + TAIL);
    await ends(t, example, folder);
  },
);

const OLD = `
h.set_request_structured_replies(False)
h.set_handshake_flags(int(sys.argv[2]))
h.connect_uri(sys.argv[1])
assert h.get_protocol() == sys.argv[3], h.get_protocol()
assert not h.get_structured_replies_negotiated()
sys.stdout.buffer.write(h.pread(h.get_size(), 0))
`;

t.test('older clients are served, too: no structured replies, and no options but the name of the export', async (t) => {
  const { example, folder, content, uri } = await exporting(t);
  for (const [flags, protocol] of [
    ['3', 'newstyle-fixed'],
    ['1', 'newstyle-fixed'],
    ['0', 'newstyle'],
  ] as const) {
    const args = ['-c', `import nbd, sys\nh = nbd.NBD()\n${OLD}`, uri, flags, protocol];
    t.ok(execFileSync('/usr/bin/python3', args, { maxBuffer: 64 * MIB }).equals(content));
  }
  await ends(t, example, folder);
});

t.test(
  'what it is started with wrongly ends it with one line that says so, and status 1',
  leavingNothing((t) => {
    using folder = new Folder();
    using listening = unixSocket();
    using idle = unixSocket();
    bind(listening.number, `@sdrx-test-${process.pid}`);
    listen(listening.number);
    const image = folder.join('image');
    writeFileSync(image, 'content');
    const one = { LISTEN_FDS: '1' };
    const cases: [RegExp, readonly string[], NodeJS.ProcessEnv?, Fd[]?][] = [
      [/must name one file/, []],
      [/must name one file/, [image, image]],
      [/'--port'/, [image, '--port=1']],
      [/ENOENT.*missing/, [folder.join('missing')]],
      [/EISDIR/, [folder.path]],
      [/no file to export, but: directory/, [folder.path, '--read-only']],
      [/no file to export, but: character-device/, ['/dev/null']],
      [/'unix:x' is no address/, [image, '--listen=unix:x']],
      [/--listen=udp:\*:1: NBD needs/, [image, '--listen=udp:*:1']],
      [/--listen=unix-datagram:@x: NBD needs/, [image, '--listen=unix-datagram:@x']],
      [/EADDRINUSE/, [image, `--listen=unix:${image}`]],
      [
        /^nbd-export: --listen=unix:@x can't be given to a service that is activated/,
        [image, '--listen=unix:@x'],
        one,
        [listening],
      ],
      [/LISTEN_FDS must be a number of sockets from 1 to 16, not '0'/, [image], { LISTEN_FDS: '0' }],
      [
        /LISTEN_FDS must be a number of sockets from 1 to 16, not '17'/,
        [image],
        { LISTEN_FDS: '17' },
        Array(17).fill(listening),
      ],
      [/LISTEN_FDS must be .* \(\d+ is none\)/, [image], { LISTEN_FDS: '500' }, [listening]],
      [/descriptor 4 must be a listening stream socket/, [image], { LISTEN_FDS: '2' }, [listening, idle]],
    ];
    for (const [pattern, args, environment, passed] of cases) {
      const { status, stderr, stdout } = failedStart('nbd-export', args, environment, passed);
      t.match({ status, stdout, stderr }, { status: 1, stdout: '', stderr: pattern });
      t.match(stderr, /^nbd-export: .*\n$/, 'one line');
    }
    t.strictSame(readdirSync(folder.path), ['image']);
  }),
);

t.test('malformed variables are told, and no activation', async (t) => {
  for (const [environment, told] of [
    [{ LISTEN_FDS: 'many' }, /^nbd-export: .*LISTEN_FDS must be.*no socket is taken for passed$/m],
    [{ LISTEN_FDS: '1', LISTEN_PID: 'me' }, /^nbd-export: .*LISTEN_PID must be.*no socket is taken for passed$/m],
    [{ LISTEN_FDS: '1', LISTEN_PID: '1' }, /^nbd-export: ENOENT/],
  ] as const) {
    // That it goes on shows in what it then fails with.
    const { status, stderr } = failedStart('nbd-export', ['/missing', '--listen=unix:@x'], environment);
    t.equal(status, 1);
    t.match(stderr, told);
    t.match(stderr, /^nbd-export: ENOENT.*'\/missing'$/m);
  }
});

/** Everything that comes until the other end closes. */
async function rest(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {});
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(chunks);
}

function option(number: number, data = Buffer.alloc(0), magic = 'IHAVEOPT'): Buffer {
  const header = Buffer.alloc(16);
  header.write(magic, 'latin1');
  header.writeUInt32BE(number, 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

function request(command: number, offset: number, length: number, magic = 0x25609513): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(magic);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}

/** Client flags, and the choice of the export by its name, without the padding. */
const CHOSEN = Buffer.concat([Buffer.from([0, 0, 0, 3]), option(1)]);
const GREETING_SIZE = 18;
const CHOSEN_SIZE = 10;

/** Waits until it has as many descriptors open as it had. */
async function untilAsManyFds(pid: number, count: number): Promise<void> {
  const told = () => `${processFds(pid).size} descriptors instead of ${count}`;
  await untilOr(LIMIT, () => processFds(pid).size === count, told);
}

t.test('a client that breaks the protocol is left, and no other', async (t) => {
  const { example, folder, path, uri } = await exporting(t);
  const before = processFds(example.pid).size;
  const other = connect(path);
  other.write(CHOSEN);
  await once(other, 'readable');
  const flags = Buffer.from([0, 0, 0, 3]);
  const long = option(3);
  long.writeUInt32BE(0xffff_ffff, 12);
  const longWrite = request(1, 0, 0xffff_ffff);
  const manyQueries = Buffer.concat([Buffer.alloc(4), Buffer.from([0xff, 0xff, 0xff, 0xff])]);
  for (const [what, bytes] of [
    ['unknown flags', Buffer.from([0, 0, 0, 4])],
    ['a wrong magic number', Buffer.concat([flags, option(3, Buffer.alloc(0), 'IHAVENOT')])],
    ['an option of 4 GiB', Buffer.concat([flags, long])],
    ['too many options', Buffer.concat([flags, ...Array.from({ length: 40 }, () => option(3))])],
    ['a wrong magic number of a request', Buffer.concat([CHOSEN, request(0, 0, 1, 0x12345678)])],
    ['a write of 4 GiB', Buffer.concat([CHOSEN, longWrite])],
    ['many queries that do not come', Buffer.concat([flags, option(8), option(10, manyQueries), option(2)])],
  ] as const) {
    const client = connect({ path, allowHalfOpen: true });
    client.write(bytes);
    const answer = await rest(client.once('end', () => client.end()));
    t.ok(answer.subarray(0, 16).equals(Buffer.from('NBDMAGICIHAVEOPT')), `${what}: greeted, and left`);
  }
  other.read();
  other.write(request(0, 0, 100));
  await once(other, 'readable');
  t.equal((other.read() as Buffer).length, 16 + 100, 'the other is served');
  other.write(request(2, 0, 0));
  await rest(other);
  t.match(run('nbdinfo', '--size', uri), /^\d+\n$/);
  await untilAsManyFds(example.pid, before);
  await ends(t, example, folder);
});

t.test('whatever a client sends, the next one is served, and no descriptor stays', async (t) => {
  const { example, folder, path, uri } = await exporting(t, { args: ['--read-only'] });
  const before = processFds(example.pid).size;
  const message = fc.oneof(
    fc
      .tuple(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 40 }))
      .map(([n, data]) => option(n, Buffer.from(data))),
    fc.tuple(fc.integer({ min: 0, max: 8 }), fc.nat(), fc.nat(70_000)).map((fields) => request(...fields)),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  );
  const start = fc.constantFrom(Buffer.from([0, 0, 0, 3]), CHOSEN, Buffer.alloc(0));
  const messages = fc
    .tuple(start, fc.array(message, { maxLength: 8 }))
    .map(([first, more]) => Buffer.concat([first, ...more]));
  await fc.assert(
    fc.asyncProperty(messages, async (bytes) => {
      const client = connect(path).on('error', () => {});
      client.end(bytes);
      t.ok((await rest(client)).length >= GREETING_SIZE);
    }),
    { numRuns: 200 },
  );
  t.match(run('nbdinfo', '--size', uri), /^\d+\n$/);
  await untilAsManyFds(example.pid, before);
  await ends(t, example, folder);
});

t.test('SIGTERM: what has come is answered, then the client is left; who waits is left at once', async (t) => {
  const { example, folder, path, content } = await exporting(t);
  const waiting = connect(path);
  const client = connect(path);
  const count = 16;
  client.write(Buffer.concat([CHOSEN, ...Array.from({ length: count }, (_, index) => request(0, index * MIB, MIB))]));
  // It does not take more than the first bytes of the answers for now: the others are under way.
  await once(client, 'readable');
  await once(waiting, 'readable');
  example.kill('SIGTERM');
  await rest(waiting);
  const answers = await rest(client);
  t.equal(answers.length, GREETING_SIZE + CHOSEN_SIZE + count * (16 + MIB));
  const parts = Array.from({ length: count }, (_, index) => {
    const at = GREETING_SIZE + CHOSEN_SIZE + index * (16 + MIB) + 16;
    return answers.subarray(at, at + MIB);
  });
  t.ok(Buffer.concat(parts).equals(content.subarray(0, count * MIB)), 'each answer is whole');
  t.equal(await example.ended(), 0);
  t.strictSame(readdirSync(folder.path), ['image']);
});

t.test('a client that was left already, and does not hang up, does not delay the end', async (t) => {
  const { example, folder, path } = await exporting(t);
  const client = connect({ path, allowHalfOpen: true }).on('error', () => {});
  client.write(Buffer.from([0, 0, 0, 4]));
  client.resume();
  await once(client, 'end');
  const begin = performance.now();
  await ends(t, example, folder);
  t.ok(performance.now() - begin < 4500);
  client.destroy();
});

for (const [how, signals] of [
  ['for a time', 1],
  ['until a second signal', 2],
] as const) {
  t.test(`a client that does not take its answers delays the end ${how}`, async (t) => {
    const { example, folder, path } = await exporting(t);
    const client = connect(path).on('error', () => {});
    client.write(Buffer.concat([CHOSEN, request(0, 0, 16 * MIB)]));
    await once(client, 'readable');
    const begin = performance.now();
    example.kill('SIGTERM');
    await untilOr(
      LIMIT,
      () => !readdirSync(folder.path).includes('socket'),
      () => 'the end does not begin',
    );
    if (signals === 2) example.kill('SIGINT');
    t.equal(await example.ended(), 0);
    const took = performance.now() - begin;
    t.ok(signals === 2 ? took < 4500 : took > 4500, `after ${took} ms`);
    client.destroy();
    t.strictSame(readdirSync(folder.path), ['image']);
  });
}
