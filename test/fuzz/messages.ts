import fc from 'fast-check';
import { recordedCalls } from './recorded.js';

/** A message's bytes without its NUL, and how many descriptors go with it. */
export interface FuzzMessage {
  readonly bytes: Buffer;
  readonly fds: number;
}

const METHODS = [...new Set(recordedCalls.map(({ text }) => JSON.parse(text).method as string))];
const PARAMETERS = [...new Set(recordedCalls.flatMap(({ text }) => Object.keys(JSON.parse(text).parameters ?? {})))];

const number = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, -1, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1.5, 1e300),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const text = fc.oneof(
  fc.constantFrom(
    '',
    'io.systemd.NamespaceResource',
    'io.systemd.UserDatabase',
    'ns-probe-0',
    'veth',
    'tap',
    '__proto__',
    '0',
    '\u0000',
    '\ufffd',
    'x'.repeat(300),
  ),
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);
const scalar = fc.oneof(number, text, fc.boolean(), fc.constant(null));
const value = fc.oneof({ weight: 6, arbitrary: scalar }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) });
const key = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...PARAMETERS) }, { weight: 1, arbitrary: text });
const flags = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  {
    weight: 2,
    arbitrary: fc.dictionary(fc.constantFrom('more', 'oneway', 'upgrade'), fc.oneof(fc.boolean(), scalar), {
      maxKeys: 2,
    }),
  },
  { weight: 1, arbitrary: fc.dictionary(text, value, { maxKeys: 1 }) },
);
const fdCount = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 1, arbitrary: fc.integer({ min: 4, max: 12 }) },
);

/** A call as the interfaces know it, with any values. */
const grammatical: fc.Arbitrary<FuzzMessage> = fc
  .record({
    method: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...METHODS) }, { weight: 1, arbitrary: text }),
    parameters: fc.oneof(
      { weight: 8, arbitrary: fc.dictionary(key, value, { maxKeys: 5 }) },
      { weight: 1, arbitrary: value },
    ),
    flags,
    fds: fdCount,
  })
  .map(({ method, parameters, flags, fds }) => ({
    bytes: Buffer.from(JSON.stringify({ method, parameters, ...flags })),
    fds,
  }));

/** One thing in a recorded call that is not as it was. */
const changed: fc.Arbitrary<FuzzMessage> = fc
  .record({
    call: fc.constantFrom(...recordedCalls),
    key,
    value,
    what: fc.nat(5),
    extra: fc.integer({ min: -1, max: 2 }),
  })
  .map(({ call, key, value, what, extra }) => {
    const message = JSON.parse(call.text);
    const parameters = message.parameters ?? {};
    const keys = Object.keys(parameters);
    const victim = keys[key.length % Math.max(keys.length, 1)];
    if (what === 0 && victim !== undefined) delete parameters[victim];
    else if (what === 1 && victim !== undefined) parameters[victim] = value;
    else if (what === 2) Object.defineProperty(parameters, key, { value, enumerable: true, configurable: true });
    else if (what === 3) message[key] = value;
    else if (what === 4) message.parameters = value;
    return { bytes: Buffer.from(JSON.stringify(message)), fds: Math.max(0, call.fds + extra) };
  });

/** The text of a recorded call, of which bytes are others. */
const broken: fc.Arbitrary<FuzzMessage> = fc
  .record({
    call: fc.constantFrom(...recordedCalls),
    edits: fc.array(fc.record({ at: fc.nat(), what: fc.nat(3), byte: fc.nat(255) }), { minLength: 1, maxLength: 3 }),
    fds: fdCount,
  })
  .map(({ call, edits, fds }) => {
    let bytes = [...Buffer.from(call.text)];
    for (const { at, what, byte } of edits) {
      const place = at % bytes.length;
      if (what === 0) bytes[place] = byte;
      else if (what === 1) bytes.splice(place, 0, byte);
      else if (what === 2) bytes.splice(place, 1);
      else bytes = bytes.slice(0, Math.max(1, place));
    }
    return { bytes: Buffer.from(bytes), fds };
  });

/** What is made to be expensive, or on a border. */
const large: fc.Arbitrary<FuzzMessage> = fc
  .record({
    what: fc.constantFrom(
      '{},',
      '[',
      '{"a":',
      '"\\u0000",',
      '1',
      '"k":1,',
      '"__proto__":{},',
      ' ',
      '\\"',
      '{"',
      '[[]],',
      '-',
      '\u00e4',
    ),
    times: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3000 }), fc.constantFrom(15, 16, 17)),
    frame: fc.constantFrom(
      ['', ''],
      ['{"method":"a.b","parameters":{"x":[', '0]}}'],
      ['{"method":"', '"}'],
      ['{"method":"a.b","parameters":{"x":"', '"}}'],
      ['[', ']'],
      ['{"method":"a.b","parameters":{"x":', '}}'],
      ['{"method":"a.b","parameters":{', '"z":0}}'],
    ),
    close: fc.constantFrom('', ']', '}', ']}'),
  })
  .map(({ what, times, frame: [before, after], close }) => ({
    bytes: Buffer.from(before + what.repeat(times) + close.repeat(close === '' ? 0 : times) + after),
    fds: 0,
  }));

const noise: fc.Arbitrary<FuzzMessage> = fc
  .record({ bytes: fc.uint8Array({ maxLength: 60 }), fds: fdCount })
  .map(({ bytes, fds }) => ({ bytes: Buffer.from(bytes), fds }));

/** A call as it was recorded. */
const plain: fc.Arbitrary<FuzzMessage> = fc
  .constantFrom(...recordedCalls)
  .map(({ text, fds }) => ({ bytes: Buffer.from(text), fds }));

export const anyMessage: fc.Arbitrary<FuzzMessage> = fc.oneof(
  { weight: 6, arbitrary: plain },
  { weight: 10, arbitrary: changed },
  { weight: 10, arbitrary: grammatical },
  { weight: 3, arbitrary: broken },
  { weight: 1, arbitrary: large },
  { weight: 1, arbitrary: noise },
);
