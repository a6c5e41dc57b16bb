import t from 'tap';
import { call, exampleService } from './example.js';
import { type RawClient, withServer } from './fixture.js';

const echo = call('Echo', { text: 'alive' });
const alive = { parameters: { text: 'alive' } };

function invalid(parameter: string): object {
  return { error: 'org.varlink.service.InvalidParameter', parameters: { parameter } };
}

function notFound(method: string): object {
  return { error: 'org.varlink.service.MethodNotFound', parameters: { method: `org.example.test.${method}` } };
}

function mirrored(thing: string): object {
  return { parameters: { thing: JSON.parse(thing) } };
}

/** A call whose parameters are a text. */
function raw(method: string, parameters: string): string {
  return `{"method":"org.example.test.${method}","parameters":${parameters}}`;
}

/** What is asked, and the reply. */
const answered: [string, unknown, object][] = [
  ...['org.example.test.Missing', 'org.example.missing.Method', 'foo', 'a.b', ''].map(
    (method): [string, unknown, object] => [
      `unknown method '${method}'`,
      { method },
      { error: 'org.varlink.service.MethodNotFound', parameters: { method } },
    ],
  ),
  ['an unknown parameter', call('Echo', { text: 'x', colour2: 1 }), invalid('colour2')],
  ['an unknown parameter of a method without any', call('Nothing', { a: 1 }), invalid('a')],
  [
    'a parameter named __proto__',
    '{"method":"org.example.test.Nothing","parameters":{"__proto__":1}}',
    invalid('__proto__'),
  ],
  ['a missing parameter', call('Echo', {}), invalid('text')],
  ['missing parameters', call('Echo'), invalid('text')],
  ['a parameter that must be there and is null', call('Echo', { text: null }), invalid('text')],
  ['a parameter of a wrong type', call('Echo', { text: 1 }), invalid('text')],
  ['a fraction for an int', call('Echo', { text: 'x', number: 1.5 }), invalid('number')],
  [
    'an int too large',
    '{"method":"org.example.test.Echo","parameters":{"text":"x","number":18446744073709551615}}',
    invalid('number'),
  ],
  ['a text for an int', call('Echo', { text: 'x', number: '1' }), invalid('number')],
  ['an unknown enum value', call('Echo', { text: 'x', colour: 'mauve' }), invalid('colour')],
  ['a wrong value inside', call('Echo', { text: 'x', points: [{ x: 1, y: 'a' }] }), invalid('points')],
  ['the first of several at fault', call('Echo', { points: 1, other: 1, text: 1 }), invalid('points')],
  ['a wrong one before a missing one', call('Echo', { other: 1 }), invalid('other')],
  ['a negative descriptor index', call('Inode', { fd: -1 }), invalid('fd')],
  [
    'the description of an unknown interface',
    { method: 'org.varlink.service.GetInterfaceDescription', parameters: { interface: 'org.example.missing' } },
    { error: 'org.varlink.service.InterfaceNotFound', parameters: { interface: 'org.example.missing' } },
  ],
  [
    'a method without a handler',
    call('Unimplemented'),
    { error: 'org.varlink.service.MethodNotImplemented', parameters: { method: 'org.example.test.Unimplemented' } },
  ],
  ['a method for more, called without', call('Watch'), { error: 'org.varlink.service.ExpectedMore', parameters: {} }],
  ['parameters that are null', { method: 'org.example.test.Nothing', parameters: null }, { parameters: {} }],
  ['an optional parameter that is null', call('Echo', { text: 'x', number: null }), { parameters: { text: 'x' } }],
  [
    'an integer written as 1.0',
    '{"method":"org.example.test.Echo","parameters":{"text":"x","number":1.0}}',
    { parameters: { text: 'x', number: 1 } },
  ],
  ['a key twice among the parameters', raw('Echo', '{"text":"x","text":"x"}'), invalid('text')],
  ['a key twice in an object', raw('Mirror', '{"thing":{"a":1,"b":{"c":[{"d":1,"e":2,"d":1}]}}}'), invalid('d')],
  ['a key twice in a struct', raw('Echo', '{"text":"x","points":[{"x":1,"y":2,"x":3}]}'), invalid('x')],
  ['a key twice, once by its code', raw('Echo', '{"text":"x","\\u0074ext":"x"}'), invalid('text')],
  ['__proto__ twice', raw('Mirror', '{"thing":{"__proto__":1,"__proto__":1}}'), invalid('__proto__')],
  ['a key twice for a method there is not', raw('No', '{"a":1,"a":1}'), notFound('No')],
  [
    'a key in two objects',
    raw('Mirror', '{"thing":{"thing":{"a":":","b:":"a"}}}'),
    mirrored('{"thing":{"a":":","b:":"a"}}'),
  ],
  ['a surrogate pair by its codes', raw('Echo', '{"text":"\\ud83d\\ude42"}'), { parameters: { text: '🙂' } }],
  ['a control character', raw('Echo', '{"text":"\\u0001\x7f\\u007f"}'), { parameters: { text: '\x01\x7f\x7f' } }],
  [
    'the largest int',
    call('Echo', { text: 'x', number: 2 ** 53 - 1 }),
    { parameters: { text: 'x', number: 2 ** 53 - 1 } },
  ],
  ['an int that JavaScript would round', raw('Echo', '{"text":"x","number":9007199254740993}'), invalid('number')],
  ['an int of 65 bits', raw('Echo', '{"text":"x","number":-18446744073709551616}'), invalid('number')],
  [
    'a float without fraction',
    raw('Mirror', '{"thing":{},"ratio":100000000000000000000}'),
    { parameters: { thing: {}, ratio: 1e20 } },
  ],
  ['flags that are false', { ...call('Nothing'), more: false, oneway: false, upgrade: false }, { parameters: {} }],
  ['an upgrade to nothing', { ...call('Nothing'), upgrade: true }, invalid('upgrade')],
  ['white space around', ` \n${JSON.stringify(call('Nothing'))}\t `, { parameters: {} }],
  ['a replacement character', call('Echo', { text: '\ufffd' }), { parameters: { text: '\ufffd' } }],
];

for (const [what, message, reply] of answered) {
  t.test(`${what}: ${JSON.stringify(reply)}, and the connection goes on`, (t) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.raw();
      client.send(message, echo);
      t.same(await client.replies(2), [reply, alive]);
      t.same(fixture.failures, []);
    }),
  );
}

function latin1(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'latin1');
}

/** What ends a connection without a reply. */
const refused: [string, (client: RawClient) => void][] = [
  ['parameters that are a list', (client) => client.send({ method: 'a.b', parameters: [] })],
  ['parameters that are a text', (client) => client.send({ method: 'a.b', parameters: 'x' })],
  ['a message that is a list', (client) => client.send([])],
  ['a message that is a number', (client) => client.send('1')],
  ['a message that is null', (client) => client.send('null')],
  ['an empty message', (client) => client.send('')],
  ['an object without method', (client) => client.send({})],
  ['a method that is no text', (client) => client.send({ method: 1 })],
  ['an unknown key', (client) => client.send({ ...call('Nothing'), other: 1 })],
  ['a flag that is null', (client) => client.send({ ...call('Nothing'), oneway: null })],
  ['a flag that is a number', (client) => client.send({ ...call('Nothing'), more: 1 })],
  ['both oneway and more', (client) => client.send({ ...call('Nothing'), oneway: true, more: true })],
  ['both upgrade and more', (client) => client.send({ ...call('Nothing'), upgrade: true, more: true })],
  ['both upgrade and oneway', (client) => client.send({ ...call('Nothing'), upgrade: true, oneway: true })],
  ['an upgrade that is a text', (client) => client.send({ ...call('Nothing'), upgrade: 'yes' })],
  ['text after the object', (client) => client.send(`${JSON.stringify(call('Nothing'))} x`)],
  ['no JSON at all', (client) => client.send('GET / HTTP/1.1')],
  ['a method twice', (client) => client.send('{"method":"a.b","method":"a.b"}')],
  ['parameters twice', (client) => client.send('{"method":"a.b","parameters":{"a":1,"a":1},"parameters":{}}')],
  ['a flag twice', (client) => client.send('{"method":"a.b","more":true,"more":true}')],
  ['NUL in a text', (client) => client.send(raw('Echo', '{"text":"a\\u0000b"}'))],
  ['NUL in a key', (client) => client.send(raw('Mirror', '{"thing":{"a\\u0000":1}}'))],
  ['NUL in the method', (client) => client.send('{"method":"org.example.test.Nothing\\u0000"}')],
  ['half of a surrogate pair, the first', (client) => client.send(raw('Echo', '{"text":"\\ud83d"}'))],
  ['half of a surrogate pair, the second', (client) => client.send(raw('Echo', '{"text":"\\ude42"}'))],
  ['a surrogate pair the wrong way round', (client) => client.send(raw('Echo', '{"text":"\\ude42\\ud83d"}'))],
  ['half of a surrogate pair in a key', (client) => client.send(raw('Mirror', '{"thing":{"\\ud83d":1}}'))],
  ['half of a surrogate pair as UTF-8', (client) => client.sendBytes(latin1(raw('Echo', '{"text":"\xed\xa0\xbd"}')))],
  ['a number too large', (client) => client.send(raw('Mirror', '{"thing":{"a":1e999}}'))],
  ['a number too small', (client) => client.send(raw('Mirror', '{"thing":[-1e999]}'))],
  ['an integer of more than 64 bits', (client) => client.send(raw('Mirror', '{"thing":{"a":18446744073709551617}}'))],
  ['an integer without end', (client) => client.send(raw('Mirror', `{"thing":{"a":${'7'.repeat(50_000)}}}`))],
  ['a byte order mark', (client) => client.send(`\ufeff${JSON.stringify(call('Nothing'))}`)],
  ['bytes that are no UTF-8', (client) => client.sendBytes(Buffer.from('{"method":"a.\xff"}\0', 'latin1'))],
];

for (const [what, send] of refused) {
  t.test(`${what}: the connection is closed without a reply, and others are not`, (t) =>
    withServer(exampleService(), async (fixture) => {
      const other = fixture.raw();
      const client = fixture.raw();
      send(client);
      await client.end();
      t.same(client.messages, []);
      other.send(echo);
      t.same(await other.replies(1), [alive]);
      t.same(fixture.failures, []);
    }),
  );
}

t.test('a call for no reply that has a key twice is not answered', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.send('{"method":"org.example.test.Echo","parameters":{"text":"x","text":"x"},"oneway":true}', echo);
    t.same(await client.replies(1), [alive]);
  }),
);

t.test('calls before the garbage are answered, those after it are not', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.send(echo, 'garbage', echo);
    await client.end();
    t.same(await client.replies(2), [alive]);
  }),
);
