import { once } from 'node:events';
import { fstatSync, readdirSync, statSync } from 'node:fs';
import { connect as connectStream, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Fd, sealedFile, sendMessage } from '@sdrx/linux';
import {
  ConnectionClosedError,
  connect,
  fdIndex,
  field,
  type HandlersOf,
  type Implementation,
  implement,
  int,
  interfaceFromText,
  parseInterface,
  string,
  type TakenConnection,
  typescriptOf,
  type UpgradedConnection,
  varlinkInterface,
  varlinkService,
} from '@sdrx/varlink';
import { firstValueFrom, of, Subject } from 'rxjs';
import t from 'tap';
import { answeredWith } from './answered-with.js';
import { type Fixture, frame, systemError, turn, until, withServer } from './fixture.js';

const shouting = varlinkInterface({
  name: 'org.example.shouting',
  methods: {
    Shout: { upgrade: 'required', parameters: { greeting: field(string) }, reply: { length: field(int) } },
    Maybe: { upgrade: true, reply: { text: field(string) } },
    Fd: { upgrade: true, parameters: { fd: field(fdIndex) }, reply: { fd: field(fdIndex) } },
    Plain: {},
  },
  errors: { TooLoud: {} },
});
const { methods, errors } = shouting;
const shouted = '{"parameters":{"length":1}}\0';

type Handlers = HandlersOf<typeof shouting>;

/** The other protocol: what comes goes back in capitals, and a full stop at the end. */
function shout(connection: UpgradedConnection): void {
  const stream = connection.stream();
  stream.on('data', (chunk) => stream.write(String(chunk).toUpperCase()));
  stream.on('end', () => stream.end('.'));
}

function shoutingService(handlers: Handlers = {}): Implementation[] {
  return [
    implement(shouting, {
      Shout: ({ greeting }, call) => {
        if (greeting === '') throw errors.TooLoud();
        call.takeConnection(shout);
        return { length: greeting.length };
      },
      Maybe: () => ({ text: 'no' }),
      Plain: () => {},
      ...handlers,
    }),
  ];
}

/** A call with `upgrade`, as bytes. */
function upgrade(method: string, parameters = {}): Buffer {
  return frame({ method: `${shouting.name}.${method}`, parameters, upgrade: true });
}

const shoutX = upgrade('Shout', { greeting: 'x' });

/** What the server says to one who speaks no protocol, and has sent all that it will. */
function answer(fixture: Fixture, ...parts: readonly Buffer[]): Promise<string> {
  const socket = connectStream({ path: fixture.path, allowHalfOpen: true });
  for (const part of parts) socket.write(part);
  socket.end();
  return text(socket);
}

t.test('after the reply both sides have a stream, and each half of it ends alone', (t) =>
  withServer(shoutingService(), async (fixture) => {
    const client = fixture.client();
    const { parameters, connection, fds } = await client.upgrade(methods.Shout, { greeting: 'hello' });
    t.same([parameters, fds], [{ length: 5 }, []]);
    const stream = connection.stream();
    t.equal(connection.stream(), stream, 'it is the same one each time');
    stream.write('loud and ');
    stream.end('clear');
    t.equal(await text(stream), 'LOUD AND CLEAR.');
    t.match(client.closed, { message: /org\.example\.shouting\.Shout has upgraded it/ });
    await t.rejects(client.call(methods.Plain, {}), ConnectionClosedError);
    t.same(fixture.failures, []);
  }),
);

t.test('bytes that come with the call are the first of the other protocol, however they are cut', (t) =>
  withServer(shoutingService(), async (fixture) => {
    const all = Buffer.concat([shoutX, Buffer.from('at once')]);
    t.equal(await answer(fixture, all), `${shouted}AT ONCE.`);
    t.equal(await answer(fixture, shoutX), `${shouted}.`);
    for (let cut = 1; cut < all.length; cut += 3) {
      t.equal(await answer(fixture, all.subarray(0, cut), all.subarray(cut)), `${shouted}AT ONCE.`);
    }
    // More than is read at a time, with what would be messages.
    const long = `${'x'.repeat(100_000)}\0{"method":"a.b"}\0`;
    t.equal(await answer(fixture, Buffer.concat([shoutX, Buffer.from(long)])), `${shouted}${long.toUpperCase()}.`);
    const plain = frame({ method: methods.Plain.name });
    t.equal(await answer(fixture, Buffer.concat([plain, all])), `{"parameters":{}}\0${shouted}AT ONCE.`);
    t.same(fixture.failures, []);
  }),
);

t.test('bytes that come with the reply are the first of the other protocol', async (t) => {
  const head = await answeredWith('{"parameters":{"text":"yes"}}\0first words\0', async (client) => {
    const { connection } = await client.upgrade(methods.Maybe, {});
    const { fd, head } = connection.takeFd();
    fd.close();
    return head.toString();
  });
  t.equal(head, 'first words\0');
});

t.test('a server may speak first', (t) => {
  const Maybe: Handlers['Maybe'] = (_, call) => {
    call.takeConnection((connection) => {
      connection.stream().end('first words');
    });
    return { text: 'yes' };
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    for (let round = 0; round < 20; round++) {
      using client = connect(fixture.loop, fixture.path);
      const stream = (await client.upgrade(methods.Maybe, {})).connection.stream();
      t.equal(await text(stream), 'first words');
      stream.end();
    }
  });
});

t.test('a handler may answer later, by a promise or an Observable', (t) => {
  const promised: NonNullable<Handlers['Maybe']> = async (_, call) => {
    await turn();
    call.takeConnection(shout);
    await turn();
    return { text: 'yes' };
  };
  const observed: NonNullable<Handlers['Maybe']> = (_, call) => {
    call.takeConnection(shout);
    return of({ text: 'yes' });
  };
  const calls = Buffer.concat([upgrade('Maybe'), Buffer.from('later')]);
  const test = (Maybe: NonNullable<Handlers['Maybe']>) =>
    withServer(shoutingService({ Maybe }), async (fixture) => {
      t.equal(await answer(fixture, calls), '{"parameters":{"text":"yes"}}\0LATER.');
      t.same(fixture.failures, []);
    });
  return Promise.all([promised, observed].map(test)).then(() => {});
});

t.test('a reply that the socket does not take at once is sent whole before the stream begins', (t) => {
  const long = 'y'.repeat(4_000_000);
  const Maybe: Handlers['Maybe'] = (_, call) => {
    call.takeConnection(shout);
    return { text: long };
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    const client = fixture.client();
    const { parameters, connection } = await client.upgrade(methods.Maybe, {});
    t.ok(parameters.text === long);
    const stream = connection.stream();
    stream.end('x');
    t.equal(await text(stream), 'X.');
  });
});

t.test('descriptors come and go with the call and the reply; those beside the first bytes after are closed', (t) => {
  let connected: UpgradedConnection | undefined;
  const Fd: Handlers['Fd'] = ({ fd }, call) => {
    const file = call.takeFd(fd);
    call.takeConnection((connection) => {
      connected = connection;
    });
    return { fd: call.passFd(file) };
  };
  return withServer(shoutingService({ Fd }), async (fixture) => {
    using file = sealedFile('note', Buffer.from('x'));
    const client = fixture.client();
    const { parameters, fds, connection } = await client.upgrade(methods.Fd, { fd: 0 }, { fds: [file.number] });
    t.same([parameters, fds.length], [{ fd: 0 }, 1]);
    for (const fd of fds) fd.close();
    connection[Symbol.dispose]();
    connected?.[Symbol.dispose]();

    const raw = fixture.raw();
    sendMessage(raw.fd, Buffer.concat([shoutX, Buffer.from('x')]), { fds: [file.number] });
    await until('the answer', () => raw.messages.length > 0);
    await until('the descriptor to be closed', () => copiesOf(file) === 1);
  });
});

/** How many of our descriptors are of the same file. */
function copiesOf({ number }: Fd): number {
  const { ino, dev } = fstatSync(number);
  return readdirSync('/proc/self/fd').filter((name) => {
    const found = statSync(`/proc/self/fd/${name}`, { throwIfNoEntry: false });
    return found?.ino === ino && found.dev === dev;
  }).length;
}

t.test('a descriptor is taken with what was read, and taken once only', (t) => {
  let taken: TakenConnection | undefined;
  const Maybe: Handlers['Maybe'] = (_, call) => {
    call.takeConnection((connection) => {
      taken = connection.takeFd();
      t.throws(() => connection.stream(), { message: 'the connection was closed or taken already' });
      t.throws(() => connection.takeFd(), { message: 'the connection was closed or taken already' });
      connection[Symbol.dispose]();
    });
    return { text: 'yes' };
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    const answered = answer(fixture, upgrade('Maybe'), Buffer.from('head'));
    await until('the descriptor', () => taken !== undefined);
    if (taken === undefined) return;
    const stream = new Socket({ fd: taken.fd.take(), readable: true, writable: true, allowHalfOpen: true });
    stream.unshift(taken.head);
    const [first] = await once(stream, 'data');
    t.equal(String(first), 'head');
    stream.end('tail');
    t.equal(await answered, '{"parameters":{"text":"yes"}}\0tail');

    const client = fixture.client();
    const { connection } = await client.upgrade(methods.Shout, { greeting: 'x' });
    const stays = connection.stream();
    t.throws(() => connection.takeFd(), { message: 'the connection was taken already, as a stream' });
    connection[Symbol.dispose]();
    connection[Symbol.dispose]();
    t.ok(stays.destroyed);
    t.throws(() => connection.takeFd(), { message: 'the connection was closed or taken already' });
  });
});

t.test('an error leaves the connection as it was, on both sides', (t) =>
  withServer(shoutingService(), async (fixture) => {
    const client = fixture.client();
    const thrown = await client.upgrade(methods.Shout, { greeting: '' }).catch((error: unknown) => error);
    t.ok(errors.TooLoud.is(thrown));
    await client.call(methods.Plain, {});
    const refused = await client.upgrade(methods.Plain, {}).catch((error: unknown) => error);
    t.match(refused, varlinkService.errors.InvalidParameter({ parameter: 'upgrade' }));
    const { connection } = await client.upgrade(methods.Shout, { greeting: 'x' });
    connection[Symbol.dispose]();
    t.same(fixture.failures, []);
  }),
);

t.test('who has not asked for it is told so', (t) => {
  const Maybe: Handlers['Maybe'] = (_, call) => {
    t.notOk(call.upgrade);
    call.takeConnection(() => {
      t.fail('nothing was upgraded');
    });
    return { text: '' };
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    const client = fixture.client();
    const expected = { message: 'org.varlink.service.ExpectedUpgrade' };
    await t.rejects(client.call(methods.Shout, { greeting: 'x' }), expected);
    await t.rejects(client.call(methods.Maybe, {}), expected);
    t.same(fixture.failures, []);
  });
});

t.test('a handler that does not take the connection has failed, and Varlink goes on', (t) =>
  withServer(shoutingService(), async (fixture) => {
    const raw = fixture.raw();
    raw.sendBytes(Buffer.concat([upgrade('Maybe'), frame({ method: methods.Plain.name })]));
    t.same(await raw.replies(2), [systemError(5, 'EIO'), { parameters: {} }]);
    t.match(fixture.failures, [{ message: 'the handler of org.example.shouting.Maybe did not take the connection' }]);
    raw.sendBytes(upgrade('Shout', { greeting: 5 as never }));
    t.match(await raw.replies(1), [{ parameters: { parameter: 'greeting' } }]);
  }),
);

t.test('what the use of a connection throws, or rejects with, closes it and is told', (t) => {
  const use = [
    () => {
      throw new TypeError('at once');
    },
    async () => {
      await turn();
      throw new TypeError('later');
    },
  ];
  const Maybe: Handlers['Maybe'] = (_, call) => {
    const next = use.shift();
    if (next !== undefined) call.takeConnection(next);
    return { text: '' };
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    for (const message of ['at once', 'later']) {
      const raw = fixture.raw();
      raw.sendBytes(upgrade('Maybe'));
      await raw.end();
      const failure = fixture.events.findLast(({ type }) => type === 'failed');
      t.match(failure, { error: { message }, method: methods.Maybe.name });
    }
  });
});

t.test('no call is sent while an upgrade is waited for; calls before it are answered', (t) =>
  withServer(shoutingService(), async (fixture) => {
    const client = fixture.client();
    const before = client.call(methods.Plain, {});
    const upgraded = client.upgrade(methods.Shout, { greeting: 'x' });
    await t.rejects(client.call(methods.Plain, {}), {
      message: `${methods.Plain.name} can't be called: the connection waits for ${methods.Shout.name}, which upgrades it`,
    });
    await before;
    (await upgraded).connection[Symbol.dispose]();
  }),
);

t.test('a wait that is given up closes what comes of it', (t) =>
  withServer(shoutingService(), async (fixture) => {
    const client = fixture.client();
    const abort = new AbortController();
    const upgraded = client.upgrade(methods.Shout, { greeting: 'x' }, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await t.rejects(upgraded, { message: 'enough' });
    await until('the connection to be closed', () => client.closed !== undefined);
    await t.rejects(fixture.client().upgrade(methods.Shout, { greeting: 'x' }, { signal: abort.signal }), {
      message: 'enough',
    });
  }),
);

t.test(
  'a reply that is not as declared closes the connection, as who sent it speaks something else by now',
  async (t) => {
    const found = await answeredWith('{"parameters":{"text":5}}\0', async (client) => {
      const thrown = await client.upgrade(methods.Maybe, {}).catch((error: unknown) => error);
      return [thrown, client.closed];
    });
    t.match(found, [
      { message: `${methods.Maybe.name} answered with a wrong 'text'` },
      { name: 'ConnectionClosedError' },
    ]);
  },
);

t.test("an upgraded connection is its user's until it is closed or its descriptor taken", (t) => {
  const connections: UpgradedConnection[] = [];
  const Maybe: Handlers['Maybe'] = (_, call) => {
    call.takeConnection((connection) => {
      connections.push(connection);
    });
    return { text: '' };
  };
  const test = async (fixture: Fixture) => {
    const uid = process.getuid?.();
    for (const end of [
      (connection: UpgradedConnection) => connection[Symbol.dispose](),
      (connection: UpgradedConnection) => connection.stream().destroy(),
      (connection: UpgradedConnection) => connection.takeFd().fd.close(),
    ]) {
      const first = fixture.raw();
      first.sendBytes(upgrade('Maybe'));
      await first.replies(1);
      const second = fixture.raw();
      t.same(await second.replies(1), [systemError(87, 'EUSERS')]);
      const [connection] = connections.splice(0);
      t.equal(connection?.peer?.uid, uid);
      if (connection !== undefined) end(connection);
      await first.end();
      await turn();
    }
    const last = fixture.raw();
    last.send({ method: methods.Plain.name });
    t.same(await last.replies(1), [{ parameters: {} }]);
  };
  return withServer(shoutingService({ Maybe }), test, { limits: { connectionsPerUser: 1 } });
});

t.test('a server that ends closes what was upgraded, and what waits to be', () =>
  withServer(shoutingService({ Maybe: () => new Promise(() => {}) }), async (fixture) => {
    const [upgraded, waiting] = [fixture.raw(), fixture.raw()];
    upgraded.sendBytes(shoutX);
    await upgraded.replies(1);
    waiting.sendBytes(upgrade('Maybe'));
    await until('both to be accepted', () => fixture.accepted === 2);
    fixture.subscription.unsubscribe();
    await Promise.all([upgraded.end(), waiting.end()]);
  }),
);

t.test('a client that leaves while its answer comes costs nothing', (t) => {
  const answer = new Subject<{ text: string }>();
  const Maybe: Handlers['Maybe'] = (_, call) => {
    call.takeConnection(() => {
      t.fail('nobody is there to speak with');
    });
    return firstValueFrom(answer);
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    const client = fixture.client();
    const upgraded = client.upgrade(methods.Maybe, {});
    await until('the call', () => answer.observed);
    client[Symbol.dispose]();
    await t.rejects(upgraded, ConnectionClosedError);
    answer.next({ text: '' });
    await fixture.client().call(methods.Plain, {});
    t.same(fixture.failures, []);
  });
});

t.test('the flag is in the text of the interface, and comes from it', (t) => {
  t.match(shouting.text, "# [Requires 'upgrade' flag]\nmethod Shout(");
  t.match(shouting.text, "# [Supports 'upgrade' flag]\nmethod Maybe(");
  const { methods } = interfaceFromText(shouting.text);
  t.match(methods, { Shout: { upgrade: 'required' }, Maybe: { upgrade: true }, Plain: { upgrade: false } });
  t.match(typescriptOf(parseInterface(shouting.text)), /Shout: {\s+upgrade: 'required',/);
  t.match(typescriptOf(parseInterface(shouting.text)), /Maybe: {\s+upgrade: true,/);
  t.throws(() => varlinkInterface({ name: 'a.b', methods: { A: { upgrade: 'yes' as never } } }), {
    message: '`methods.A.upgrade` must be a boolean or \'required\', not "yes"',
  });
  t.end();
});

t.test('a client that leaves while it is written to ends nobody', (t) => {
  const Maybe: Handlers['Maybe'] = (_, call) => {
    call.takeConnection((connection) => {
      const stream = connection.stream();
      stream.resume().on('end', () => stream.end('x'.repeat(1_000_000)));
    });
    return { text: '' };
  };
  return withServer(shoutingService({ Maybe }), async (fixture) => {
    for (let round = 0; round < 10; round++) {
      const { connection } = await fixture.client().upgrade(methods.Maybe, {});
      connection[Symbol.dispose]();
    }
    await fixture.client().call(methods.Plain, {});
    t.same(fixture.failures, []);
  });
});
