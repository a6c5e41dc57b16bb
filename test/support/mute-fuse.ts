import { accessSync, constants } from 'node:fs';
import { type ChildProcess, Fd, ReceiveBuffer, setNonBlocking, socketPair, spawn } from '@sdrx/linux';
import type { Test } from 'tap';
import { UID } from './call-as.js';
import { readable } from './readable.js';
import { waitForExit } from './wait-for-exit.js';

/** What a mute file system has, each opened once: of the file system itself, and of an overlayfs(5) above it. */
export const MUTE_FILES = ['file', 'directory', 'overlay file', 'overlay directory'] as const;
export type MuteFile = (typeof MUTE_FILES)[number];

/**
 * Makes, as a user in namespaces of its own, a file system whose server answers until all is open and the descriptors are
 * sent, and then never again, but reads on: a request waits for ever, as only a server's death ends it.
 */
const SERVER = `
import ctypes, os, socket, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
uid = int(sys.argv[1])
client = socket.socket(fileno=3)

def check(result, what):
    if result != 0: sys.exit(what + ': ' + os.strerror(ctypes.get_errno()))

def mount(source, target, kind, options):
    check(libc.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()), 'mount ' + kind)

# Maps are written by the parent, who stays outside.
inside, outside = socket.socketpair()
child = os.fork()
if child != 0:
    inside.close()
    client.close()
    if outside.recv(1) == b'':
        sys.exit(1)
    open(f'/proc/{child}/uid_map', 'w').write(f'0 {uid} 1\\n')
    open(f'/proc/{child}/gid_map', 'w').write(f'0 {uid} 1\\n')
    outside.send(b'.')
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
outside.close()
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
check(libc.prctl(1, 9, 0, 0, 0), 'prctl')
check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), 'unshare')
inside.send(b'.')
inside.recv(1)
# Still root outside, whose the device is.
device = os.open('/dev/fuse', os.O_RDWR)
os.setgroups([])
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
check(libc.prctl(1, 9, 0, 0, 0), 'prctl')

FILE, DIRECTORY = 0o100444, 0o40555
def attributes(node):
    mode = DIRECTORY if node % 2 == 1 else FILE
    return struct.pack('<QQQQQQIIIIIIIIII', node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

nodes = {b'file': 2, b'directory': 3}
mute = False
LOOKUP, FORGET, GETATTR, OPEN, STATFS, RELEASE, FLUSH, INIT, OPENDIR, BATCH_FORGET = 1, 2, 3, 14, 17, 18, 25, 26, 27, 42

def answer(opcode, node, body):
    if opcode == INIT: return 0, struct.pack('<IIIIHHIIHHI', 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0) + bytes(28)
    if opcode == LOOKUP:
        found = nodes.get(body.rstrip(b'\\0'))
        if found is None: return -2, b''
        return 0, struct.pack('<QQQQII', found, 0, 3600, 0, 0, 0) + attributes(found)
    if opcode == GETATTR: return 0, struct.pack('<QII', 0, 0, 0) + attributes(node)
    if opcode in (OPEN, OPENDIR): return 0, struct.pack('<QII', 1, 0, 0)
    if opcode == STATFS: return 0, struct.pack('<QQQQQIIII', 0, 0, 0, 0, 0, 4096, 255, 4096, 0) + bytes(24)
    # Without this answer once, the kernel would not ask any more when a file is closed.
    if opcode in (FLUSH, RELEASE): return 0, b''
    return -38, b''

def serve():
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError:
            return
        length, opcode, unique, node = struct.unpack_from('<IIQQ', request)
        if mute or opcode in (FORGET, BATCH_FORGET): continue
        error, body = answer(opcode, node, request[40:length])
        os.write(device, struct.pack('<IiQ', 16 + len(body), error, unique) + body)

mount('tmpfs', '/tmp', 'tmpfs', '')
for name in ('fuse', 'upper', 'work', 'overlay'): os.mkdir('/tmp/' + name)
mount('fuse', '/tmp/fuse', 'fuse', f'fd={device},rootmode=40000,user_id=0,group_id=0,allow_other')
threading.Thread(target=serve, daemon=True).start()
mount('overlay', '/tmp/overlay', 'overlay', 'lowerdir=/tmp/fuse,upperdir=/tmp/upper,workdir=/tmp/work,userxattr')
opened = [os.open('/tmp/' + path, os.O_RDONLY) for path in ('fuse/file', 'fuse/directory', 'overlay/file', 'overlay/directory')]
socket.send_fds(client, [b'.'], opened)
# Not kept: a server that dies with a file of its own waits for itself to answer that it is closed.
for fd in opened: os.close(fd)
mute = True
client.send(b'.')
threading.Event().wait()
`;

/** Options for a test of such a file system. */
export const needsFuse =
  process.getuid?.() === 0 && hasDevice()
    ? {}
    : { skip: 'needs /dev/fuse, and root, who alone may open it everywhere' };

function hasDevice(): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Files of a user whose file system never answers (FUSE), until it is disposed of. While this process has them, neither close
 * one nor start a program: both would wait for the answer, too. So make what is needed for a test before.
 */
export class MuteFuse implements Disposable {
  readonly #server: ChildProcess;
  readonly #fds: readonly Fd[];

  private constructor(server: ChildProcess, fds: readonly Fd[]) {
    this.#server = server;
    this.#fds = fds;
  }

  /** @param uid whose file system it is */
  static async start(t?: Pick<Test, 'teardown'>, uid = UID): Promise<MuteFuse> {
    const [ours, theirs] = socketPair();
    using socket = ours;
    using inherited = theirs;
    setNonBlocking(inherited.number, false);
    const server = spawn('/usr/bin/python3', { args: ['-c', SERVER, String(uid)], fds: [null, null, 2, inherited] });
    inherited.close();
    const fds: number[] = [];
    const buffer = new ReceiveBuffer(1);
    for (let received = 0; received < 2; received++) {
      await readable(socket.number);
      if (buffer.receive(socket.number, fds) !== 1) break;
    }
    const fuse = new MuteFuse(
      server,
      fds.map((fd) => new Fd(fd)),
    );
    t?.teardown(() => fuse[Symbol.dispose]());
    if (fds.length !== MUTE_FILES.length) throw new Error('no mute file system could be made');
    return fuse;
  }

  /** A descriptor to pass on. It stays this object's. */
  fd(file: MuteFile): number {
    return this.#fds[MUTE_FILES.indexOf(file)]?.number ?? -1;
  }

  /** Ends the server, which ends all waiting for it, and closes the descriptors. */
  [Symbol.dispose](): void {
    if (this.#server.pidfd.number === -1) return;
    // Its child, which is the server, gets SIGKILL with it.
    this.#server.kill('SIGKILL');
    waitForExit(this.#server);
    this.#server[Symbol.dispose]();
    for (const fd of this.#fds) fd.close();
  }
}
