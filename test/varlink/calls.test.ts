import { readFileSync } from 'node:fs';
import { SystemError } from '@sdrx/linux';
import { type VarlinkError, varlinkService } from '@sdrx/varlink';
import { concat, from, NEVER, Observable, of, Subject, throwError } from 'rxjs';
import t from 'tap';
import { call, example, exampleService } from './example.js';
import { turn, until, withServer } from './fixture.js';

const failing = exampleService({
  Fail: ({ how }) => {
    if (how === 'system') throw new SystemError(13, 'open', '/x');
    if (how === 'declared') throw example.errors.Refused({ why: 'so' });
    if (how === 'plain') throw example.errors.Plain();
    throw new TypeError('a mistake');
  },
});

t.test('a handler may answer at once, by a promise or by an Observable, and pipelined calls keep their order', (t) => {
  const service = exampleService({
    Later: async ({ value }) => {
      for (let turns = 0; turns < value % 5; turns++) await turn();
      return { value };
    },
    Count: ({ to }) => of({ value: to }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    const methods = ['Later', 'Count', 'Echo'] as const;
    const calls = Array.from({ length: 60 }, (_, value) => {
      const method = methods[value % 3];
      if (method === 'Later') return call('Later', { value });
      return method === 'Count' ? call('Count', { to: value }) : call('Echo', { text: String(value) });
    });
    client.send(...calls);
    const replies = await client.replies(60);
    t.same(
      replies,
      calls.map((_, value) => ({ parameters: value % 3 === 2 ? { text: String(value) } : { value } })),
    );
  });
});

t.test('one slow call does not keep another connection waiting', (t) => {
  const gate = new Subject<{ value: number }>();
  return withServer(exampleService({ Later: () => gate }), async (fixture) => {
    const slow = fixture.raw();
    const quick = fixture.raw();
    slow.send(call('Later', { value: 1 }));
    await until('the slow call to begin', () => gate.observed);
    quick.send(call('Echo', { text: 'x' }));
    t.same(await quick.replies(1), [{ parameters: { text: 'x' } }]);
    gate.next({ value: 2 });
    t.same(await slow.replies(1), [{ parameters: { value: 2 } }]);
  });
});

t.test('a declared error is sent with its fields', (t) =>
  withServer(failing, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Fail', { how: 'declared' }));
    t.same(await client.replies(1), [{ error: 'org.example.test.Refused', parameters: { why: 'so' } }]);
    t.same(fixture.failures, []);
  }),
);

t.test('an error without fields is sent with empty parameters', (t) =>
  withServer(failing, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Fail', { how: 'plain' }));
    await until('the reply', () => client.messages.length > 0);
    t.equal(client.messages[0], '{"error":"org.example.test.Plain","parameters":{}}');
  }),
);

t.test('a successful reply has nothing but parameters', (t) =>
  withServer(failing, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Nothing'));
    await until('the reply', () => client.messages.length > 0);
    t.equal(client.messages[0], '{"parameters":{}}');
  }),
);

t.test('a failed system call becomes io.systemd.System with its positive errno, and is told', (t) =>
  withServer(failing, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Fail', { how: 'system' }));
    const parameters = { origin: 'linux', errnoName: 'EACCES', errno: 13 };
    t.same(await client.replies(1), [{ error: 'io.systemd.System', parameters }]);
    const failed = fixture.events.filter(({ type }) => type === 'failed');
    t.match(failed, [{ method: 'org.example.test.Fail', error: { code: 'EACCES' } }]);
  }),
);

t.test('a mistake in a handler becomes EIO, is told, and the server goes on', (t) =>
  withServer(failing, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Fail', { how: 'type' }), call('Nothing'));
    const parameters = { origin: 'linux', errnoName: 'EIO', errno: 5 };
    t.same(await client.replies(2), [{ error: 'io.systemd.System', parameters }, { parameters: {} }]);
    t.match(fixture.failures, [{ message: 'a mistake' }]);
  }),
);

t.test('a rejected promise and a failed Observable are answered like a throw', (t) => {
  const service = exampleService({
    Later: () => Promise.reject(varlinkService.errors.PermissionDenied()),
    Count: () => throwError(() => example.errors.Plain()),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Later', { value: 1 }), call('Count', { to: 1 }));
    t.match(await client.replies(2), [
      { error: 'org.varlink.service.PermissionDenied', parameters: {} },
      { error: 'org.example.test.Plain', parameters: {} },
    ]);
  });
});

t.test('a oneway call gets no reply, whatever it does', (t) =>
  withServer(failing, async (fixture) => {
    const client = fixture.raw();
    const oneway = { oneway: true };
    client.send(call('Nothing', {}, oneway), call('Missing', {}, oneway), call('Echo', { text: 1 }, oneway));
    client.send(call('Fail', { how: 'declared' }, oneway), call('Echo', { text: 'last' }));
    t.same(await client.replies(1), [{ parameters: { text: 'last' } }]);
    t.same(client.messages, []);
  }),
);

t.test('oneway calls run to their end although their client has gone', (t) => {
  const seen: number[] = [];
  const service = exampleService({
    Later: async ({ value }) => {
      await turn();
      seen.push(value);
      return { value };
    },
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    for (let value = 0; value < 10; value++) client.send(call('Later', { value }, { oneway: true }));
    client[Symbol.dispose]();
    await until('the tenth call', () => seen.length === 10);
    t.same(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

t.test('a client that only shut down its sending side gets all its replies', (t) =>
  withServer(exampleService({ Later: async ({ value }) => ({ value }) }), async (fixture) => {
    const { connect } = await import('node:net');
    const socket = connect({ path: fixture.path, allowHalfOpen: true });
    let text = '';
    socket.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
    let ended = false;
    socket.on('close', () => {
      ended = true;
    });
    socket.end([1, 2, 3].map((value) => `${JSON.stringify(call('Later', { value }))}\0`).join(''));
    await until('the server to close', () => ended);
    t.equal(text, [1, 2, 3].map((value) => `{"parameters":{"value":${value}}}\0`).join(''));
  }),
);

t.test('with more, all values are sent, all but the last with continues', (t) => {
  const service = exampleService({ Count: ({ to }) => from(Array.from({ length: to }, (_, value) => ({ value }))) });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Count', { to: 3 }, { more: true }), call('Nothing'));
    t.same(await client.replies(4), [
      { parameters: { value: 0 }, continues: true },
      { parameters: { value: 1 }, continues: true },
      { parameters: { value: 2 } },
      { parameters: {} },
    ]);
  });
});

t.test('without more, only the first value is sent and the rest is not asked for', (t) => {
  let unsubscribed = false;
  const service = exampleService({
    Count: () =>
      new Observable<{ value: number }>((subscriber) => {
        subscriber.add(() => {
          unsubscribed = true;
        });
        for (let value = 7; !subscriber.closed; value++) subscriber.next({ value });
      }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Count', { to: 3 }), call('Nothing'));
    t.same(await client.replies(2), [{ parameters: { value: 7 } }, { parameters: {} }]);
    t.ok(unsubscribed);
  });
});

t.test('an error after some values ends them', (t) => {
  const service = exampleService({
    Count: () =>
      concat(
        of({ value: 1 }, { value: 2 }),
        throwError(() => example.errors.Plain()),
      ),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Count', { to: 3 }, { more: true }));
    t.same(await client.replies(3), [
      { parameters: { value: 1 }, continues: true },
      { parameters: { value: 2 }, continues: true },
      { error: 'org.example.test.Plain', parameters: {} },
    ]);
  });
});

t.test('notify sends a value at once, for a call that never ends', (t) => {
  const ticks = new Subject<number>();
  const service = exampleService({
    Watch: (_, call) => {
      call.notify({ value: 0 });
      return new Observable((subscriber) => {
        subscriber.add(ticks.subscribe((value) => call.notify({ value })));
      });
    },
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Watch', {}, { more: true }));
    t.same(await client.replies(1), [{ parameters: { value: 0 }, continues: true }]);
    ticks.next(1);
    t.same(await client.replies(1), [{ parameters: { value: 1 }, continues: true }]);
  });
});

t.test('when the client goes, the Observable of its call is unsubscribed from', (t) => {
  let running = 0;
  const service = exampleService({
    Watch: () =>
      new Observable(() => {
        running++;
        return () => {
          running--;
        };
      }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Watch', {}, { more: true }), call('Nothing'));
    await until('the call to begin', () => running === 1);
    client[Symbol.dispose]();
    await until('its end', () => running === 0);
    t.pass('the teardown ran');
  });
});

t.test('a promise that settles after its client went does no harm', (t) => {
  let settle = (_: { value: number }) => {};
  const service = exampleService({
    Later: () =>
      new Promise((resolve) => {
        settle = resolve;
      }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Later', { value: 1 }));
    await until('the call', () => fixture.events.some((event) => event.type === 'worked' && event.unanswered === 1));
    client[Symbol.dispose]();
    const other = fixture.raw();
    other.send(call('Nothing'));
    t.same(await other.replies(1), [{ parameters: {} }]);
    settle({ value: 1 });
    await turn();
    t.same(fixture.failures, []);
  });
});

t.test('clients that go away before their replies are written do no harm', (t) =>
  withServer(exampleService(), async (fixture) => {
    for (let count = 0; count < 50; count++) {
      const client = fixture.raw();
      client.send(call('Nothing'), call('Nothing'));
      client[Symbol.dispose]();
    }
    await until('all of them', () => fixture.accepted === 50);
    const client = fixture.raw();
    client.send(call('Nothing'));
    t.same(await client.replies(1), [{ parameters: {} }]);
    t.same(fixture.failures, []);
  }),
);

t.test('a handler sees who calls', (t) => {
  const service = exampleService({ Later: (_, { peer }) => ({ value: peer.pid }) });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Later', { value: 0 }));
    t.same(await client.replies(1), [{ parameters: { value: process.pid } }]);
  });
});

t.test('a handler is given a pidfd of who calls, for as long as that one is connected', (t) => {
  let left = false;
  const service = exampleService({
    Later: (_, call) => {
      using pidfd = call.peerPidfd();
      // Before Linux 6.5 there is none.
      if (pidfd === undefined) return { value: process.pid };
      return { value: Number(/^Pid:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd.number}`, 'ascii'))?.[1]) };
    },
    Count: (_, call) =>
      new Observable(() => () => {
        t.throws(() => call.peerPidfd(), { code: 'ESRCH' });
        left = true;
      }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Later', { value: 0 }));
    t.same(await client.replies(1), [{ parameters: { value: process.pid } }]);
    client.send(call('Count', { to: 1 }));
    await until('the call', () => fixture.events.some((event) => event.type === 'worked' && event.unanswered === 1));
    client[Symbol.dispose]();
    await until('its end', () => left);
  });
});

t.test('the server tells how many calls came and how many are unanswered', (t) =>
  withServer(exampleService({ Later: () => NEVER }), async (fixture) => {
    const client = fixture.raw();
    client.send(call('Nothing'), call('Nothing'), call('Later', { value: 1 }));
    await client.replies(2);
    t.match(fixture.events, [
      { type: 'accepted', count: 1, waiting: false },
      { type: 'worked', calls: 3, unanswered: 1, connections: 1 },
    ]);
    client[Symbol.dispose]();
    await until('the end of the call', () => {
      const last = fixture.events.at(-1);
      return last?.type === 'worked' && last.unanswered === 0;
    });
  }),
);

t.test('an error kind knows its own errors', (t) => {
  const error: VarlinkError = example.errors.Refused({ why: 'x', when: 1 });
  t.ok(example.errors.Refused.is(error));
  t.notOk(example.errors.Plain.is(error));
  t.equal(error.message, 'org.example.test.Refused {"why":"x","when":1}');
  t.end();
});
