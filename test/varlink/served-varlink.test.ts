import { EventLoop } from '@sdrx/event';
import {
  bind,
  connect as connectSocket,
  duplicate,
  Fd,
  listen,
  pipe,
  SOCK_DGRAM,
  socketPair,
  unixSocket,
} from '@sdrx/linux';
import {
  connect,
  type Implementation,
  ServedVarlink,
  type ServedVarlinkOptions,
  type ServerEvent,
  service,
  VarlinkClient,
} from '@sdrx/varlink';
import { firstValueFrom, ignoreElements, Observable, Subject } from 'rxjs';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { openFds } from '../support/nothing-left.js';
import { call, example, exampleService } from './example.js';
import { info, RawClient, turn, until } from './fixture.js';

const { methods } = example;
const nothing = { parameters: {} };
const never = () => ({ signal: new AbortController().signal });
/** A wrong value of any type, as JavaScript lets it through. */
const wrong = (value: unknown) => value as never;

/** What is served, and what it has told. */
class Served implements Disposable {
  readonly served: ServedVarlink;
  readonly counts: number[] = [];
  readonly events: ServerEvent[] = [];
  ended = false;

  constructor(loop: EventLoop, socket: Fd, implementations: readonly Implementation[], options?: ServedVarlinkOptions) {
    this.served = new ServedVarlink(loop, service(info, ...implementations), socket, options);
    this.served.events.subscribe({ next: (event) => this.events.push(event), error: () => {} });
    this.served.count.subscribe({
      next: (count) => this.counts.push(count),
      complete: () => {
        this.ended = true;
      },
    });
  }

  get count(): number | undefined {
    return this.counts.at(-1);
  }

  [Symbol.dispose](): void {
    this.served[Symbol.dispose]();
  }
}

/** What a test finds: a loop that runs, and a socket that listens. */
class Place {
  readonly loop = new EventLoop();
  readonly socket = unixSocket();
  readonly #folder = new Folder();
  readonly #own: Disposable[] = [this.socket];
  readonly #finished = this.loop.run();

  constructor() {
    bind(this.socket.number, this.path);
    listen(this.socket.number);
  }

  get path(): string {
    return this.#folder.join('socket');
  }

  serve(implementations: readonly Implementation[], options?: ServedVarlinkOptions, socket = this.socket): Served {
    return this.#keep(new Served(this.loop, socket, implementations, options));
  }

  raw(): RawClient {
    return this.#keep(new RawClient(this.loop, this.path));
  }

  client(): VarlinkClient {
    return this.#keep(connect(this.loop, this.path));
  }

  /** A connected pair: what is served, and a client at its other end. */
  pair(implementations: readonly Implementation[], options?: ServedVarlinkOptions) {
    const [ours, theirs] = socketPair();
    const client = this.#keep(new VarlinkClient(this.loop, theirs));
    return { ours, client, served: this.serve(implementations, options, ours) };
  }

  async end(): Promise<void> {
    for (const own of this.#own.reverse()) own[Symbol.dispose]();
    this.loop.exit();
    await this.#finished;
    this.#folder[Symbol.dispose]();
  }

  #keep<T extends Disposable>(own: T): T {
    this.#own.push(own);
    return own;
  }
}

/** A test that leaves no descriptor open; a thread closes some of them. */
function test(name: string, body: (t: Test, place: Place) => Promise<void>): void {
  t.test(name, async (t) => {
    const before = openFds().length;
    const place = new Place();
    try {
      await body(t, place);
    } finally {
      await place.end();
    }
    await until('all to be closed', () => openFds().length === before);
  });
}

async function turns(count = 10): Promise<void> {
  for (let left = count; left > 0; left--) await turn();
}

test('it begins paused, and what it does not accept waits in the socket', async (t, place) => {
  const { served } = place.serve(exampleService());
  t.notOk(served.waiting);
  const client = place.raw();
  client.send(call('Nothing'));
  await turns();
  t.ok(served.waiting);
  t.same(client.messages, []);
  served.resume();
  t.same(await client.replies(1), [nothing]);
  t.notOk(served.waiting);
});

test('paused, connections go on; resumed, those that came meanwhile are served', async (t, place) => {
  const { served, ...told } = place.serve(exampleService());
  served.resume();
  const kept = place.client();
  await kept.call(methods.Nothing, {});
  for (let round = 0; round < 3; round++) {
    served.pause();
    served.pause();
    const late = place.raw();
    late.send(call('Nothing'));
    await kept.call(methods.Nothing, {});
    await turns();
    t.same(late.messages, []);
    t.ok(served.waiting);
    served.resume();
    served.resume();
    t.same(await late.replies(1), [nothing]);
    late[Symbol.dispose]();
  }
  await until('the last to be gone', () => told.counts.at(-1) === 1);
  t.same(told.counts, [0, 1, 2, 1, 2, 1, 2, 1]);
});

test('no call is lost, and nobody refused, however often it pauses', async (t, place) => {
  const { served } = place.serve(exampleService());
  let pauses = 0;
  let busy = true;
  const pausing = (async () => {
    while (busy) {
      if (pauses++ % 3 > 0) served.resume();
      else served.pause();
      await turn();
    }
    served.resume();
  })();
  const work = async () => {
    for (let round = 0; round < 50; round++) {
      using client = connect(place.loop, place.path);
      for (const text of ['first', `last of ${round}`]) {
        const { parameters } = await client.call(methods.Echo, { text });
        t.equal(parameters.text, text);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  busy = false;
  await pausing;
  t.ok(pauses > 100, `${pauses} pauses`);
});

test('drained, calls that have arrived are answered, idle connections closed, and the next server has the rest', async (t, place) => {
  const gate = new Subject<{ value: number }>();
  const { served, ...told } = place.serve(exampleService({ Later: () => gate }));
  served.resume();
  const [idle, slow] = [place.raw(), place.raw()];
  slow.send(call('Later', { value: 1 }));
  await until('the slow call', () => gate.observed && told.counts.at(-1) === 2);
  slow.send(call('Echo', { text: 'behind' }));
  const drained = served.drain(never());
  t.throws(() => served.resume(), /is drained/);
  await idle.end();
  const late = place.raw();
  late.send(call('Nothing'));
  await turns();
  t.same(late.messages, []);
  t.ok(served.waiting);
  gate.next({ value: 2 });
  t.same(await slow.replies(2), [{ parameters: { value: 2 } }, { parameters: { text: 'behind' } }]);
  await slow.end();
  await drained;
  await served.drain(never());
  t.throws(() => served.resume(), /is drained/);
  t.doesNotThrow(() => served.pause());
  const next = place.serve(exampleService());
  next.served.resume();
  t.same(await late.replies(1), [nothing]);
});

test('what does not end is broken off when there is no more time', async (t, place) => {
  const { served } = place.serve(exampleService());
  served.resume();
  const watching = place.raw();
  watching.send(call('Watch', {}, { more: true }), call('Nothing'));
  await turns();
  const hurry = new AbortController();
  const drained = served.drain({ signal: hurry.signal });
  await turns();
  t.notOk(watching.closed);
  hurry.abort();
  await drained;
  await watching.end();
  t.same(watching.messages, []);
});

test('an immediate end, and one before it began, are ends', async (t, place) => {
  const [begun, paused] = [place.serve(exampleService()), place.serve(exampleService())];
  begun.served.resume();
  const client = place.raw();
  await until('the connection', () => begun.count === 1);
  await begun.served.drain({ signal: AbortSignal.abort() });
  await client.end();
  await paused.served.drain(never());
  t.same([begun.ended, paused.ended, begun.count, paused.count], [true, true, 0, 0]);
});

test('the end of the loop ends it', async (t, place) => {
  const { loop } = place;
  const told = place.serve(exampleService());
  told.served.resume();
  place.raw();
  await until('the connection', () => told.count === 1);
  loop.exit();
  await until('the end', () => told.ended);
  t.equal(told.count, 0);
});

test('calls are counted instead, also those that are answered at once', async (t, place) => {
  const gate = new Subject<{ value: number }>();
  const told = place.serve(exampleService({ Later: () => gate }), { counts: 'calls' });
  told.served.resume();
  const [client, other] = [place.client(), place.client()];
  await client.call(methods.Nothing, {});
  t.same(told.counts, [0, 1, 0]);
  const later = [client, other].map((each) => each.call(methods.Later, { value: 1 }));
  await until('both calls', () => told.count === 2);
  gate.next({ value: 1 });
  await Promise.all(later);
  await until('none', () => told.count === 0);
  await told.served.drain(never());
  await until('the client to know', () => client.closed !== undefined);
});

test('a connected socket is served until it ends, and then all has ended', async (t, place) => {
  const { ours, client, served } = place.pair(exampleService());
  t.equal(ours.number, -1, 'it is taken');
  t.same(served.counts, [1]);
  const answer = client.call(methods.Echo, { text: 'early' });
  await turns();
  served.served.resume();
  t.equal((await answer).parameters.text, 'early');
  served.served.pause();
  served.served.resume();
  await client.call(methods.Nothing, {});
  t.notOk(served.ended);
  client[Symbol.dispose]();
  await until('the end', () => served.ended);
  t.same(served.counts, [1, 0]);
  t.notOk(served.served.waiting);
});

test('a connected socket whose client is gone before it is served ends at once', async (t, place) => {
  const { client, served } = place.pair(exampleService());
  client[Symbol.dispose]();
  served.served.resume();
  await until('the end', () => served.ended);
  t.same(served.counts, [1, 0]);
});

test('a connected socket is drained, also before it is served, and closed when it is let go', async (t, place) => {
  const gate = new Subject<{ value: number }>();
  const begun = place.pair(exampleService({ Later: () => gate }));
  begun.served.served.resume();
  const answer = begun.client.call(methods.Later, { value: 1 });
  await until('the call', () => gate.observed);
  const drained = begun.served.served.drain(never());
  gate.next({ value: 5 });
  t.equal((await answer).parameters.value, 5);
  await drained;

  const early = place.pair(exampleService());
  const first = early.client.call(methods.Echo, { text: 'first' });
  await turns();
  await early.served.served.drain(never());
  t.equal((await first).parameters.text, 'first');

  const left = place.pair(exampleService());
  left.served[Symbol.dispose]();
  await until('the client to know', () => left.client.closed !== undefined);
  t.same(left.served.counts, [1, 0]);
});

test('a socket that turns out to be none fails', async (t, place) => {
  const { served, ...told } = place.serve(exampleService());
  const { number } = place.socket;
  const [reader, writer] = pipe();
  place.socket.close();
  using impostor = duplicate(reader.number, number);
  t.equal(impostor.number, number);
  reader.close();
  writer.close();
  const failure = firstValueFrom(served.events.pipe(ignoreElements()));
  served.resume();
  await t.rejects(failure, { code: 'ENOTSOCK' });
  await served.drain(never());
  t.same(told.counts, [0]);
});

test('who is not admitted ends a connected socket, too', async (t, place) => {
  const { client, served } = place.pair(exampleService(), { admit: () => undefined });
  served.served.resume();
  await until('the end', () => served.ended);
  t.match(served.events, [{ type: 'refused', reason: 'admit' }]);
  await until('the client to know', () => client.closed !== undefined);
});

test('an observer of the count may dispose of it', async (t, place) => {
  const { served } = place.serve(exampleService());
  served.count.subscribe((count) => {
    if (count === 1) served[Symbol.dispose]();
  });
  served.resume();
  const client = place.raw();
  await client.end();
  place.raw();
  t.notOk(served.waiting, 'it is not its socket any more');
});

test('an answer that is given up is unsubscribed from when it is broken off', async (t, place) => {
  let state = 'none';
  const Later = () =>
    new Observable<{ value: number }>(() => {
      state = 'under way';
      return () => {
        state = 'given up';
      };
    });
  const { served } = place.serve(exampleService({ Later }));
  served.resume();
  place.raw().send(call('Later', { value: 1 }));
  await until('the call', () => state === 'under way');
  served[Symbol.dispose]();
  t.equal(state, 'given up');
});

test('other sockets, and wrong arguments, are refused by name and stay whose they are', async (t, place) => {
  const { loop, socket } = place;
  const make = (fd: Fd, options?: ServedVarlinkOptions) => new ServedVarlink(loop, service(info), fd, options);
  using datagram = unixSocket(SOCK_DGRAM);
  using unconnected = unixSocket();
  const [reader, writer] = pipe();
  t.throws(() => make(datagram), { name: 'TypeError', message: /`socket`.*it is a unix datagram socket/ });
  t.throws(() => make(unconnected), { name: 'TypeError', message: /`socket`.*stream socket, not connected/ });
  t.throws(() => make(reader), { name: 'TypeError', message: /`socket`.*it is a fifo/ });
  t.throws(() => make(new Fd(-1)), { name: 'RangeError', message: /`socket\.number`.*-1/ });
  t.throws(() => make(wrong(socket.number)), { name: 'TypeError', message: /`socket`/ });
  t.throws(() => make(socket, wrong(5)), { name: 'TypeError', message: /`options`/ });
  t.throws(() => make(socket, { counts: wrong('users') }), { name: 'RangeError', message: /`counts`/ });
  t.throws(() => make(socket, { limits: { connections: 0 } }), { name: 'RangeError', message: /connections/ });
  t.throws(() => new ServedVarlink(wrong(5), service(info), socket), { name: 'TypeError', message: /`loop`/ });
  const served = make(socket);
  await t.rejects(served.drain(wrong(undefined)), { name: 'TypeError', message: /`ending`/ });
  await t.rejects(served.drain({ signal: wrong(5) }), { name: 'TypeError', message: /`ending\.signal`/ });
  served[Symbol.dispose]();
  for (const fd of [datagram, unconnected, reader, writer]) {
    t.ok(fd.number >= 0);
    fd.close();
  }
  using client = unixSocket();
  t.doesNotThrow(() => connectSocket(client.number, place.path), 'the socket listens still');
});
