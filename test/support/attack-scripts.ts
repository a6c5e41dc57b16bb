/** Attacks of one user on a daemon, to be run by `Attack`. */
export const ATTACKS = {
  /** Each keeps the descriptors that came with it in the daemon; some are the client's own end, so that it seems to stay. */
  'messages that never end, with 253 descriptors each': `
null = os.open('/dev/null', os.O_RDONLY)
kept = []
def step():
    client = connect()
    own = client.fileno() if len(kept) % 2 else null
    client.settimeout(1)
    socket.send_fds(client, [b'{"method":"x'], [null] * 252 + [own])
    if len(kept) % 2: client.close()
    kept.append(client)
    if len(kept) > 300:
        for client in kept: client.close()
        kept.clear()
for _ in range(20):
    try: step()
    except OSError: pass
begun()
until_over(step)
`,

  'messages of 16 MB of empty objects': `
begin = b'{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"x":['
chunk = b'{},' * 100_000
def step():
    client = connect()
    client.settimeout(30)
    client.send(begin)
    for _ in range(50):
        if over.is_set(): return
        client.sendall(chunk)
    client.sendall(b'{}]}}\\0')
    client.recv(1)
threads(12, step)
begun()
over.wait()
`,

  'a storm of connections': `
kept = []
def step():
    client = connect()
    client.setblocking(False)
    kept.append(client)
    if len(kept) > 2000:
        for old in kept[:1000]: old.close()
        del kept[:1000]
for _ in range(200):
    try: step()
    except OSError: pass
begun()
until_over(step)
`,

  /** Whoever owns a namespace may stop what is in it. */
  'stopped processes within its namespaces': `
fds = [namespace() for _ in range(4)]
own = os.getpid()
first = own
def stop():
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) > first:
            try: os.kill(int(name), signal.SIGSTOP)
            except OSError: pass
def ask():
    client = connect()
    client.settimeout(1)
    call(client, 'AllocateUserRange', {'name': 'stopped', 'size': 1, 'userNamespaceFileDescriptor': 0}, [fds[int(time.time() * 1000) % 4]])
    time.sleep(0.002)
    client.close()
threads(2, stop)
threads(4, ask)
time.sleep(0.2)
begun()
over.wait()
`,

  'namespaces that die while they are asked for': `
count = 0
def step():
    global count
    count += 1
    fd = namespace()
    client = connect()
    client.settimeout(1)
    call(client, 'AllocateUserRange', {'name': f'dying-{count % 50}', 'size': 65536, 'userNamespaceFileDescriptor': 0}, [fd])
    os.close(fd)
    if count % 3: client.close()
    else: answer(client)
step()
begun()
until_over(step)
`,

  /** More than there may be, which all die at once at its end. */
  '300 registrations': `
client = connect()
refused = set()
fds = []
for index in range(300):
    fd = namespace(mapped=True)
    call(client, 'RegisterUserNamespace', {'name': f'r-{index}', 'userNamespaceFileDescriptor': 0}, [fd])
    reply = answer(client)
    if reply is None: client = connect()
    elif 'error' in reply: refused.add(reply['error'])
    fds.append(fd)
    if index == 20: begun()
print(' '.join(sorted(refused)) or 'none', flush=True)
over.wait()
`,

  /** What is wrong with a call is said in the log, if it is the daemon's failure, or may be. */
  'a flood of lines for the log': `
wrong = [b'}\\0', b'{"method":1}\\0', b'[]\\0', b'\\x1b[31m\\0', b'{"method":"a.b","parameters":"x"}\\0']
fd = namespace(mapped=True)
def step():
    client = connect()
    client.settimeout(2)
    client.send(wrong[int(time.time() * 1e6) % len(wrong)])
    client.close()
def failing():
    client = connect()
    client.settimeout(2)
    for _ in range(100):
        call(client, 'AddNetworkToUserNamespace', {'userNamespaceFileDescriptor': 0, 'networkNamespaceFileDescriptor': 7, 'mode': 'veth'}, [fd])
        if answer(client) is None: return
threads(3, step)
threads(3, failing)
begun()
over.wait()
`,
} as const;

export type AttackName = keyof typeof ATTACKS;
