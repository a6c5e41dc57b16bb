import { Fd, socketPair } from '@sdrx/linux';
import {
  type Call,
  connect,
  field,
  foreignObject,
  implement,
  int,
  intBetween,
  interfaceFromText,
  MessageScanner,
  metricsProvider,
  nullable,
  optional,
  parseInterface,
  parseServiceAddress,
  printInterface,
  type ServeOptions,
  serve,
  service,
  serviceControl,
  struct,
  systemFailure,
  typescriptOf,
  untypedMethod,
  VarlinkClient,
  VarlinkError,
  varlinkInterface,
} from '@sdrx/varlink';
import * as io from 'io-ts';
import t from 'tap';
import { example, exampleService } from './example.js';
import { type Fixture, info, openFds, withServer } from './fixture.js';

/** A wrong value of any type, as JavaScript lets it through. */
const wrong = (value: unknown) => value as never;

const { methods } = example;

/** What is done, and what the error says. */
type Case = readonly [what: string, act: () => unknown, name: 'TypeError' | 'RangeError', message: RegExp];

const declared = (codec: unknown) => ({ codec, optional: false, description: undefined });

const declarations: Case[] = [
  ['a field without codec', () => field(wrong(undefined)), 'TypeError', /`codec`.*undefined/],
  ['a field of a constructor', () => field(wrong(String)), 'TypeError', /`codec`.*function/],
  ['a field of a type in words', () => field(wrong('string')), 'TypeError', /`codec`.*"string"/],
  ['an optional field of null', () => optional(wrong(null)), 'TypeError', /`codec`.*null/],
  ['a description that is a number', () => field(int, wrong(5)), 'TypeError', /`description`.*5/],
  ['a description with NUL', () => field(int, 'a\0b'), 'TypeError', /`description`.*NUL/],
  ['half a surrogate pair in a description', () => optional(int, '\ud800'), 'TypeError', /`description`.*surrogate/],
  ['null that is nullable', () => nullable(wrong(7)), 'TypeError', /`codec`.*7/],
  ['a struct of codecs', () => struct(wrong({ x: int })), 'TypeError', /`fields\.x/],
  ['a struct of nothing', () => struct(wrong(undefined)), 'TypeError', /`fields`/],
  ['a struct of a list', () => struct(wrong([field(int)])), 'TypeError', /`fields`.*object/],
  ['a field by hand, without codec', () => struct(wrong({ x: declared(5) })), 'TypeError', /`fields\.x\.codec`.*5/],
  ['a range of text', () => intBetween(wrong('1'), 5), 'RangeError', /`min`.*"1"/],
  ['a range of fractions', () => intBetween(0.5, 5), 'RangeError', /`min`.*0\.5/],
  ['a range to NaN', () => intBetween(1, Number.NaN), 'RangeError', /`max`.*NaN/],
  ['a range beyond 2⁵³', () => intBetween(1, 2 ** 53), 'RangeError', /`max`.*9007199254740992/],
  ['a range the wrong way round', () => intBetween(5, 1), 'RangeError', /`max`.*5 or more, not 1/],
  ['a text that is a number', () => parseInterface(wrong(5)), 'TypeError', /`text`.*5/],
  ['a text with NUL', () => interfaceFromText('interface a.b\0'), 'TypeError', /`text`.*NUL/],
  ['no syntax to print', () => printInterface(wrong(undefined)), 'TypeError', /`syntax`/],
  ['no syntax for a module', () => typescriptOf(wrong('interface a.b')), 'TypeError', /`syntax`.*interface/],
  [
    'a name that is a number',
    () => typescriptOf(parseInterface('interface a.b'), { name: wrong(5) }),
    'TypeError',
    /`name`.*5/,
  ],
  ['an address that is a number', () => parseServiceAddress(wrong(5)), 'TypeError', /`text`.*5/],
  ['a method that is a number', () => untypedMethod(wrong(5)), 'TypeError', /`name`.*5/],
  ['control by a function', () => serviceControl(wrong(() => {})), 'TypeError', /`options`/],
  ['a log that is a level', () => serviceControl({ log: wrong('info') }), 'TypeError', /`log`.*info/],
  ['a reload that is true', () => serviceControl({ reload: wrong(true) }), 'TypeError', /`reload`.*true/],
  ['a level that is set', () => serviceControl({ setLogLevel: wrong('info') }), 'TypeError', /`setLogLevel`.*info/],
  ['a uid that may control', () => serviceControl({ mayControl: wrong(0) }), 'TypeError', /`mayControl`.*0/],
  ['families by name', () => metricsProvider(wrong({}), () => []), 'TypeError', /`families`/],
  [
    'a family that is a name',
    () => metricsProvider([wrong('a.b.c')], () => []),
    'TypeError',
    /`families\[0\]`.*a\.b\.c/,
  ],
  ['metrics that are there', () => metricsProvider([], wrong([])), 'TypeError', /`read`/],
  ['no declaration', () => varlinkInterface(wrong(undefined)), 'TypeError', /`declaration`/],
  ['an interface without name', () => varlinkInterface(wrong({})), 'TypeError', /`name`.*undefined/],
  ['a name that is a number', () => varlinkInterface({ name: wrong(5) }), 'TypeError', /`name`.*5/],
  ['a description with NUL', () => interfaceOf({ description: 'x\0' }), 'TypeError', /`description`.*NUL/],
  ['types that are a list', () => interfaceOf({ types: [] }), 'TypeError', /`types`.*object/],
  ['a type that is a codec', () => interfaceOf({ types: { X: int } }), 'TypeError', /`types\.X\.codec`/],
  [
    'a method that is a function',
    () => interfaceOf({ methods: { X: () => {} } }),
    'TypeError',
    /`methods\.X`.*Function/,
  ],
  [
    'parameters of codecs',
    () => interfaceOf({ methods: { X: { parameters: { a: io.string } } } }),
    'TypeError',
    /`methods\.X\.parameters\.a/,
  ],
  [
    'a reply that is a struct',
    () => interfaceOf({ methods: { X: { reply: 5 } } }),
    'TypeError',
    /`methods\.X\.reply`.*5/,
  ],
  ['more in words', () => interfaceOf({ methods: { X: { more: 'yes' } } }), 'TypeError', /`methods\.X\.more`.*"yes"/],
  [
    'a method described by NUL',
    () => interfaceOf({ methods: { X: { description: '\0' } } }),
    'TypeError',
    /`methods\.X\.description`/,
  ],
  ['an error that is null', () => interfaceOf({ errors: { X: null } }), 'TypeError', /`errors\.X`.*null/],
  [
    'fields of an error that are text',
    () => interfaceOf({ errors: { X: { fields: 'x' } } }),
    'TypeError',
    /`errors\.X\.fields`.*x/,
  ],
  ['a handler for nothing', () => implement(example, wrong({ Ecko: () => {} })), 'TypeError', /no method 'Ecko'/],
  [
    'a handler of the object',
    () => implement(example, wrong({ toString: () => '' })),
    'TypeError',
    /no method 'toString'/,
  ],
  ['a handler that is no function', () => implement(example, { Echo: wrong({}) }), 'TypeError', /`handlers\.Echo`/],
  ['no handlers', () => implement(example, wrong(undefined)), 'TypeError', /`handlers`/],
  ['handlers of no interface', () => implement(wrong('a.b'), {}), 'TypeError', /`definition`.*a\.b/],
  ['a guard that is no function', () => implement(example, {}, { before: wrong(true) }), 'TypeError', /`before`.*true/],
  ['no information', () => service(wrong(undefined)), 'TypeError', /`info`/],
  ['a version that is a number', () => service({ ...info, version: wrong(1) }), 'TypeError', /`info\.version`.*1/],
  ['a vendor with NUL', () => service({ ...info, vendor: '\0' }), 'TypeError', /`info\.vendor`/],
  [
    'an interface without handlers',
    () => service(info, wrong(example)),
    'TypeError',
    /`implementations\[0\]\.interface`/,
  ],
  ['implementations in a list', () => service(info, wrong([])), 'TypeError', /`implementations\[0\]`.*object/],
  ['an error without name', () => new VarlinkError(wrong(undefined)), 'TypeError', /`error`/],
  ['an error named by a number', () => new VarlinkError(wrong(5)), 'TypeError', /`error`.*5/],
  ['an error whose parameters are null', () => new VarlinkError('a.B', wrong(null)), 'TypeError', /`parameters`.*null/],
  ['an errno in words', () => systemFailure(wrong('ENOENT')), 'RangeError', /`errno`.*"ENOENT"/],
  ['an errno as text', () => systemFailure(wrong('2')), 'RangeError', /`errno`.*"2"/],
  ['a negative errno', () => systemFailure(-2), 'RangeError', /`errno`.*-2/],
  ['errno 0', () => systemFailure(0), 'RangeError', /`errno`.*0/],
  ['the name of an errno as a number', () => systemFailure(2, wrong(2)), 'TypeError', /`errnoName`.*2/],
  [
    'a size as text',
    () => new MessageScanner({ messageSize: wrong('x'), messageDepth: 1 }),
    'RangeError',
    /`messageSize`/,
  ],
  [
    'a depth of NaN',
    () => new MessageScanner({ messageSize: 1, messageDepth: Number.NaN }),
    'RangeError',
    /`messageDepth`/,
  ],
];

function interfaceOf(declaration: object): unknown {
  return varlinkInterface({ name: 'a.b', ...declaration });
}

for (const [what, act, name, message] of declarations) {
  t.test(`${what} is refused`, (t) => {
    t.throws(act, { name, message });
    t.end();
  });
}

/** Wrong arguments of `serve`. */
const serving: [string, (fixture: Fixture) => unknown, 'TypeError' | 'RangeError', RegExp][] = [
  ['no loop', ({ listenFd }) => serve(wrong(undefined), service(info), listenFd), 'TypeError', /`loop`.*undefined/],
  ['no service', ({ loop, listenFd }) => serve(loop, wrong(example), listenFd), 'TypeError', /`service\.methods`/],
  ['a descriptor as text', ({ loop }) => serve(loop, service(info), wrong('5')), 'TypeError', /`listenFd`.*'5'/],
  ['an Fd', ({ loop }) => serve(loop, service(info), wrong(new Fd(-1))), 'TypeError', /`listenFd`.*Fd/],
  ['a descriptor of −1', ({ loop }) => serve(loop, service(info), -1), 'RangeError', /`listenFd`.*-1/],
  ['NaN for a descriptor', ({ loop }) => serve(loop, service(info), Number.NaN), 'RangeError', /`listenFd`.*NaN/],
  ['options that are null', (fixture) => served(fixture, wrong(null)), 'TypeError', /`options`.*null/],
  ['a batch as text', (fixture) => served(fixture, { acceptBatch: wrong('8') }), 'RangeError', /`acceptBatch`.*"8"/],
  ['exclusive as text', (fixture) => served(fixture, { exclusive: wrong('yes') }), 'TypeError', /`exclusive`/],
  ['a batch of 0', (fixture) => served(fixture, { acceptBatch: 0 }), 'RangeError', /`acceptBatch`.*0/],
  [
    'a promise to drain',
    (fixture) => served(fixture, { drain: wrong(Promise.resolve()) }),
    'TypeError',
    /`drain`.*Promise/,
  ],
  ['limits that are a number', (fixture) => served(fixture, { limits: wrong(5) }), 'TypeError', /`limits`.*5/],
  [
    'a limit there is not',
    (fixture) => served(fixture, { limits: wrong({ conections: 5 }) }),
    'TypeError',
    /'conections'/,
  ],
  ['a uid to account to', (fixture) => served(fixture, { account: wrong(0) }), 'TypeError', /`account`.*0/],
  ['who is admitted', (fixture) => served(fixture, { admit: wrong([0]) }), 'TypeError', /`admit`.*function/],
  ['what is held', (fixture) => served(fixture, { holdFd: wrong(true) }), 'TypeError', /`holdFd`.*true/],
  ['bars that are a list', (fixture) => served(fixture, { bars: wrong([]) }), 'TypeError', /`bars`.*Set/],
];

function served({ loop, listenFd }: Fixture, options: ServeOptions): unknown {
  return serve(loop, service(info), listenFd, options);
}

t.test('serve refuses wrong arguments at once, not when it is subscribed to', (t) =>
  withServer(exampleService(), async (fixture) => {
    for (const [what, act, name, message] of serving) t.throws(() => act(fixture), { name, message }, what);
  }),
);

t.test('a client is made of right arguments only', (t) =>
  withServer(exampleService(), async ({ loop, path }) => {
    const before = openFds();
    t.throws(() => connect(wrong({}), path), { name: 'TypeError', message: /`loop`/ });
    t.throws(() => connect(loop, wrong(5)), { name: 'TypeError', message: /`address`.*5/ });
    t.throws(() => connect(loop, `${path}\0x`), { name: 'TypeError', message: /`address`.*NUL/ });
    t.throws(() => connect(loop, path, wrong(5000)), { name: 'TypeError', message: /`options`.*5000/ });
    for (const callTime of ['5000', Number.NaN, 0, -1]) {
      t.throws(() => connect(loop, path, { callTime: wrong(callTime) }), { name: 'RangeError', message: /`callTime`/ });
    }
    const [ours, theirs] = socketPair();
    t.throws(() => new VarlinkClient(loop, ours, {}, wrong(5)), { name: 'TypeError', message: /`onClosed`/ });
    t.throws(() => new VarlinkClient(loop, wrong(ours.number)), { name: 'TypeError', message: /`socket`/ });
    t.throws(() => new VarlinkClient(wrong(undefined), ours), { name: 'TypeError', message: /`loop`/ });
    for (const fd of [ours, theirs]) fd.close();
    t.equal(openFds(), before);
  }),
);

/** Wrong arguments of a call: the method, its parameters, its options. */
const calls: [string, readonly [unknown, unknown, unknown?], 'TypeError' | 'RangeError', RegExp][] = [
  ['a method by its name', ['org.example.test.Nothing', {}], 'TypeError', /`method`/],
  ['no method', [undefined, {}], 'TypeError', /`method`/],
  ['no parameters', [methods.Nothing, undefined], 'TypeError', /`parameters`/],
  ['parameters in a list', [methods.Count, [5]], 'TypeError', /`parameters`.*object/],
  ['a number as text', [methods.Count, { to: '5' }], 'TypeError', /Count.*`to`.*"5"/],
  ['NaN', [methods.Count, { to: Number.NaN }], 'TypeError', /`to`.*NaN/],
  ['a parameter too few', [methods.Count, {}], 'TypeError', /`to`.*undefined/],
  ['a parameter too many', [methods.Nothing, { x: 1 }], 'TypeError', /`x`.*1/],
  ['NaN for a float', [methods.Mirror, { thing: {}, ratio: Number.NaN }], 'TypeError', /`ratio`.*NaN/],
  ['options that are null', [methods.Nothing, {}, null], 'TypeError', /`options`/],
  ['a descriptor that is no list', [methods.Nothing, {}, { fds: 5 }], 'TypeError', /`fds`.*5/],
  ['a descriptor as text', [methods.Nothing, {}, { fds: [0, '5'] }], 'TypeError', /`fds\[1\]`.*'5'/],
  ['an Fd for its number', [methods.Nothing, {}, { fds: [new Fd(-1)] }], 'TypeError', /`fds\[0\]`.*Fd/],
  ['more descriptors than go', [methods.Nothing, {}, { fds: Array(254).fill(0) }], 'RangeError', /`fds`.*253.*254/],
  ['no signal', [methods.Nothing, {}, { signal: 'SIGTERM' }], 'TypeError', /`signal`.*"SIGTERM"/],
  ['a time as text', [methods.Nothing, {}, { callTime: '5' }], 'RangeError', /`callTime`.*"5"/],
];

t.test('a call with wrong arguments is refused, and nothing is sent', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.client();
    for (const [what, args, name, message] of calls) {
      const given = wrong(args) as Parameters<VarlinkClient['call']>;
      await t.rejects(client.call(...given), { name, message }, what);
      t.throws(() => client.more(...given), { name, message }, what);
      await t.rejects(client.upgrade(...given), { name, message }, what);
      t.throws(() => client.oneway(...given), { name, message }, what);
    }
    await client.call(methods.Nothing, {});
    t.match(fixture.events.at(-1), { type: 'worked', calls: 1 });
  }),
);

t.test('a closed descriptor among those to pass leaves no copy of the others', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.client();
    await client.call(methods.Nothing, {});
    const before = openFds();
    await t.rejects(client.call(methods.Nothing, {}, { fds: [0, 1, 999_999] }), { code: 'EBADF' });
    t.equal(openFds(), before);
  }),
);

/** What a handler may do wrong with its call. */
const handling: [string, (call: Call) => unknown, RegExp][] = [
  ['an index as text', (call) => call.fd(wrong('0')), /`index`.*"0"/],
  ['an index of NaN', (call) => call.takeFd(Number.NaN), /`index`.*NaN/],
  ['a number for an Fd', (call) => call.passFd(wrong(5)), /`fd`.*5/],
  ['nothing for an Fd', (call) => call.passFd(wrong(undefined)), /`fd`.*undefined/],
  ['a number for a use of the connection', (call) => call.takeConnection(wrong(5)), /`use`.*5/],
  ['a reply that is text', (call) => call.notify(wrong('x')), /"x", not an object/],
  ['a reply that is a list', (call) => call.notify([]), /an array, not an object/],
  ['a returned number', () => 5, /5, not an object/],
  ['a returned list', () => [], /an array, not an object/],
  ['a promised text', async () => 'x', /"x", not an object/],
];

for (const [what, act, message] of handling) {
  t.test(`${what}: the call fails, and the program is told why`, (t) =>
    withServer(exampleService({ Nothing: (_, call) => wrong(act(call)) }), async (fixture) => {
      const client = fixture.client();
      await t.rejects(client.call(methods.Nothing, {}), { name: 'VarlinkError', message: /io\.systemd\.System/ });
      t.match(fixture.failures, [{ message }]);
    }),
  );
}

t.test('what is right is taken: all kinds of options at once', (t) =>
  withServer(exampleService(), async ({ loop, path }) => {
    using client = connect(loop, path, { callTime: Number.POSITIVE_INFINITY });
    const thing = { a: 1 };
    const { parameters } = await client.call(methods.Mirror, { thing }, { callTime: 20_000, fds: [0] });
    t.same(parameters.thing, thing);
    t.ok(foreignObject.is(thing));
  }),
);
