import { EventLoop } from '@sdrx/event';
import { sendMessage, socketPair } from '@sdrx/linux';
import { VarlinkClient } from '@sdrx/varlink';
import { concat, EMPTY, from, lastValueFrom, NEVER, Observable, throwIfEmpty } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { call, example, exampleService } from './example.js';
import { frame, turn, until, withServer } from './fixture.js';

const { methods } = example;

const counting = exampleService({
  Count: ({ to }) => from(Array.from({ length: to }, (_, index) => ({ value: index + 1 }))),
  Later: () => NEVER,
});

t.test('replies are taken one by one, and the call ends with the last one', (t) =>
  withServer(counting, async (fixture) => {
    const client = fixture.client();
    const values: number[] = [];
    for await (const { parameters } of client.replies(methods.Count, { to: 1000 })) values.push(parameters.value);
    t.strictSame(
      values,
      Array.from({ length: 1000 }, (_, index) => index + 1),
    );
  }),
);

t.test('who leaves the loop is done with the call, and what still comes is closed', (t) =>
  withServer(counting, async (fixture) => {
    const client = fixture.client();
    await leavingNothing(async () => {
      for await (const { fds } of client.replies(methods.OpenAll, { paths: Array(200).fill('/dev/null') })) {
        for (const fd of fds) fd.close();
        break;
      }
      t.equal((await client.call(methods.Echo, { text: 'next' })).parameters.text, 'next');
    });
  }),
);

t.test('an error comes after the replies before it', (t) => {
  const service = exampleService({
    Count: () =>
      concat(
        from([{ value: 1 }, { value: 2 }]),
        new Observable<never>((subscriber) => subscriber.error(example.errors.Plain())),
      ),
  });
  return withServer(service, async (fixture) => {
    const values: number[] = [];
    const take = async () => {
      for await (const { parameters } of fixture.client().replies(methods.Count, { to: 2 })) {
        await turn();
        values.push(parameters.value);
      }
    };
    t.ok(example.errors.Plain.is(await take().catch((error: unknown) => error)));
    t.strictSame(values, [1, 2]);
  });
});

t.test('a service that is faster than who takes its replies waits', async (t) => {
  await leavingNothing(async () => {
    const loop = new EventLoop();
    const finished = loop.run();
    const [ours, theirs] = socketPair();
    {
      using client = new VarlinkClient(loop, ours);
      const replies = client.replies(methods.Count, { to: 0 }, { callTime: 20_000 });
      const reply = (value: number, continues: boolean) =>
        frame({ parameters: { value, filler: 'x'.repeat(4096) }, continues });
      const first = replies.next();
      let sent = 0;
      let refused = 0;
      // A socket that nobody reads takes some hundred of them.
      await until('a service that has to wait', () => {
        if (sendMessage(theirs.number, reply(sent, true)) === undefined) refused++;
        else sent++;
        return refused > 100;
      });
      t.ok(sent < 5000, `${sent} were sent`);
      t.equal((await first).value?.parameters.value, 0);
      for (let value = 1; value < sent; value++) {
        const { value: answer } = await replies.next();
        if (answer?.parameters.value !== value) t.equal(answer?.parameters.value, value);
      }
      const last = replies.next();
      sendMessage(theirs.number, reply(sent, false));
      t.match(await last, { done: false, value: { parameters: { value: sent } } });
      t.match(await replies.next(), { done: true });
    }
    theirs.close();
    loop.exit();
    await finished;
  });
});

t.test('a signal ends the wait for a reply, and nothing else', (t) =>
  withServer(exampleService({ Later: () => NEVER }), async (fixture) => {
    const client = fixture.client();
    const before = await client.call(methods.Nothing, {}, { signal: AbortSignal.abort(5) }).catch((reason) => reason);
    t.equal(before, 5, 'it is not even sent');

    const controller = new AbortController();
    const { signal } = controller;
    await client.call(methods.Nothing, {}, { signal });
    const reason = new Error('enough');
    const waiting = [
      client.call(methods.Later, { value: 1 }, { signal }),
      client.call(methods.Open, { path: '/dev/null' }, { signal }),
      lastValueFrom(client.more(methods.Watch, {}, { signal })),
      client.replies(methods.Watch, {}, { signal }).next(),
    ];
    const outcomes = Promise.all(waiting.map((call) => (call as Promise<unknown>).catch((error: unknown) => error)));
    controller.abort(reason);
    t.strictSame(await outcomes, [reason, reason, reason, reason]);
    t.equal(client.closed, undefined, 'the connection goes on');
  }),
);

t.test('what is answered after the signal is closed, and the next call has its own answer', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.client();
    await leavingNothing(async () => {
      const controller = new AbortController();
      const opened = client.call(methods.Open, { path: '/dev/null' }, { signal: controller.signal });
      controller.abort();
      await t.rejects(opened, { name: 'AbortError' });
      t.equal((await client.call(methods.Echo, { text: 'next' })).parameters.text, 'next');
    });
  }),
);

t.test('a stream without a value ends by one empty reply, or by the error that throwIfEmpty makes of it', (t) => {
  const { Refused } = example.errors;
  const service = exampleService({
    Watch: () => EMPTY,
    Count: () => EMPTY.pipe(throwIfEmpty(() => Refused({ why: 'there is none' }))),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.send(call('Watch', {}, { more: true }), call('Count', { to: 1 }, { more: true }), call('Nothing'));
    t.strictSame(await client.replies(3), [
      { parameters: {} },
      { error: Refused.error, parameters: { why: 'there is none' } },
      { parameters: {} },
    ]);
    t.same(fixture.failures, []);
  });
});
