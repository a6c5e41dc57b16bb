import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import { type UserNamespace, untilDead } from './user-namespace.js';
import type { RawReply } from './varlink-call.js';

/**
 * Makes a user namespace, or takes the one that is its descriptor 3, asks for its range over a plain socket, prints the reply and the namespace's maps as a line of
 * JSON, and keeps the namespace until its standard input ends.
 */
const SCRIPT = `
import json, os, socket, subprocess, sys
path, parameters, given = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
unshare = ['unshare', '--user'] if given == '' else []
child = subprocess.Popen([*unshare, 'sh', '-c', 'echo && exec cat'], stdin=sys.stdin, stdout=subprocess.PIPE)
child.stdout.read(1)
namespace = os.open(f'/proc/{child.pid}/ns/user' if given == '' else '/proc/self/fd/3', os.O_RDONLY)
client = socket.socket(socket.AF_UNIX)
client.connect(path)
call = {'method': 'io.systemd.NamespaceResource.AllocateUserRange', 'parameters': parameters}
socket.send_fds(client, [json.dumps(call).encode() + b'\\0'], [namespace])
text = b''
while not text.endswith(b'\\0'):
    data = client.recv(4096)
    if not data: break
    text += data
maps = {kind: open(f'/proc/{child.pid}/{kind}').read().split() for kind in ('uid_map', 'gid_map')}
print(json.dumps({'reply': text.decode(), 'pid': child.pid, 'inode': os.fstat(namespace).st_ino, **maps}), flush=True)
os.close(namespace)
child.wait()
`;

export interface PythonResult {
  readonly text: string;
  readonly reply: RawReply;
  readonly inode: number;
  readonly uid_map: readonly string[];
  readonly gid_map: readonly string[];
  /** Ends the client, and waits until the namespace that it made is dead. */
  readonly end: () => Promise<void>;
}

/**
 * A client that shares no code with the daemon asks for a range, as user `uid`, for a namespace that it makes, or for the
 * one given.
 */
export async function pythonClient(
  t: Test,
  path: string,
  parameters: object,
  uid = 0,
  given?: UserNamespace,
): Promise<PythonResult> {
  using fd = given?.open();
  const user = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const [file = '', ...args] = [...(uid === 0 ? [] : user), '/usr/bin/python3', '-c', SCRIPT, path];
  const client = spawn(file, [...args, JSON.stringify(parameters), given === undefined ? '' : 'given'], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit', fd?.number ?? 'ignore'],
  });
  const { stdin, stdout } = client;
  if (stdin === null || stdout === null) throw new Error('no pipes');
  const exited = once(client, 'exit');
  const leave = async () => {
    stdin.end();
    await exited;
  };
  t.teardown(leave);
  let line = '';
  for await (const chunk of stdout.setEncoding('utf8')) {
    line += chunk;
    if (line.endsWith('\n')) break;
  }
  const { reply, pid, ...rest } = JSON.parse(line);
  const end = () => (given === undefined ? untilDead(pid, leave) : leave());
  return { text: reply, reply: JSON.parse(reply.slice(0, -1)), end, ...rest };
}
