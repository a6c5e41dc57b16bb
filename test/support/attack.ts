import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { UID } from './call-as.js';
import type { Daemon } from './daemon.js';
import { within } from './within.js';

/** How long an attack may take to begin, and to end, in milliseconds. */
const LIMIT = 60_000;

/** What all attacks can use. */
const PRELUDE = `
import ctypes, json, os, resource, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
path = sys.argv[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

def connect():
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    return client

def call(client, method, parameters, fds=()):
    message = json.dumps({'method': 'io.systemd.NamespaceResource.' + method, 'parameters': parameters})
    socket.send_fds(client, [message.encode() + b'\\0'], list(fds))

def answer(client):
    text = b''
    while not text.endswith(b'\\0'):
        data = client.recv(65536)
        if not data: return None
        text += data
    return json.loads(text[:-1])

def namespace(mapped=False):
    """A user namespace that only its descriptor holds alive."""
    ready, go = socket.socketpair()
    child = os.fork()
    if child == 0:
        go.close()
        libc.prctl(1, 9, 0, 0, 0)
        if libc.unshare(0x10000000) != 0: os._exit(1)
        if mapped:
            open('/proc/self/setgroups', 'w').write('deny')
            open('/proc/self/uid_map', 'w').write(f'0 {uid} 1')
            open('/proc/self/gid_map', 'w').write(f'0 {uid} 1')
        ready.send(b'.')
        ready.recv(1)
        os._exit(0)
    ready.close()
    if go.recv(1) == b'': sys.exit('no namespace')
    fd = os.open(f'/proc/{child}/ns/user', os.O_RDONLY)
    go.close()
    os.waitpid(child, 0)
    return fd

uid = os.getuid()
begun = lambda: print('begun', flush=True)
over = threading.Event()
def wait():
    while sys.stdin.buffer.read(1): pass
    over.set()
threading.Thread(target=wait, daemon=True).start()

def until_over(step):
    """Does it over and over. What the daemon refuses is no reason to stop."""
    while not over.is_set():
        try: step()
        except (OSError, ValueError): time.sleep(0.001)

def threads(count, step):
    for _ in range(count): threading.Thread(target=until_over, args=(step,), daemon=True).start()
`;

/** A client that means harm, as a user without privileges, until it is ended. It shares no code with the daemon. */
export class Attack {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcess, lines: AsyncIterator<string>) {
    this.#process = process;
    this.#lines = lines;
  }

  /**
   * Starts one, and waits until it has begun.
   * @param script in Python, after the lines above; says \`begun()\`, and goes on until \`over\` is set
   */
  static async start(t: Test, { socketPath }: Pick<Daemon, 'socketPath'>, script: string, uid = UID): Promise<Attack> {
    const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'];
    const python = ['/usr/bin/python3', '-c', `${PRELUDE}${script}`, socketPath];
    const child = spawn('setpriv', [...user, ...python], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.on('error', () => {});
    const attack = new Attack(child, createInterface(child.stdout)[Symbol.asyncIterator]());
    t.teardown(() => attack.end());
    const line = await attack.line();
    if (line !== 'begun') throw new Error(`the attack said ${line}`);
    return attack;
  }

  /** The next line that it says, within a time in milliseconds; undefined at its end. */
  async line(limit = LIMIT): Promise<string | undefined> {
    const { value } = await within(limit, () => 'the attack says nothing', this.#lines.next());
    return value;
  }

  /** Has it stop, and waits until its process has ended. */
  async end(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.stdin?.end();
    // It may hang in the kernel, for which it is to blame itself.
    const killed = setTimeout(() => child.kill('SIGKILL'), LIMIT / 4);
    await exit;
    clearTimeout(killed);
  }
}
