import { inspect } from 'node:util';
import * as bpf from '@sdrx/bpf';
import * as event from '@sdrx/event';
import * as linux from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { bpf as bpfTable, event as eventTable, linux as linuxTable, receivers } from './argument-table.js';

type Call = (...args: unknown[]) => unknown;

/** The checks themselves, which test/linux/arguments.test.ts has. */
const CHECKS = /^(check[A-Z]\w*|wrongKind|outOfRange)$/;

/** What belongs to every class. */
const OF_EVERY_CLASS = ['constructor', 'length', 'name', 'prototype', 'arguments', 'caller'];
/** What errors inherit from V8. */
const INHERITED = ['captureStackTrace', 'stackTraceLimit'];

/** Every function that a module exports, by its name in the tables. */
function functionsOf(module: object): Map<string, Call> {
  const found = new Map<string, Call>();
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function' || CHECKS.test(name)) continue;
    if (!/^class\b/.test(Function.prototype.toString.call(value))) {
      found.set(name, value as Call);
      continue;
    }
    found.set(name, (...args) => Reflect.construct(value, args));
    // A method looks at its arguments before it looks at what it is called on.
    const receiver = receivers[name] ?? Object.create(value.prototype);
    for (const [method, call] of [...methodsOf(value.prototype), ...methodsOf(receiver)]) {
      found.set(`${name}.${method}`, (...args) => call.apply(receiver, args));
    }
    for (const [method, call] of methodsOf(value)) found.set(`${name}.${method}`, (...args) => call.apply(value, args));
  }
  return found;
}

function methodsOf(owner: object): [string, Call][] {
  return Object.entries(Object.getOwnPropertyDescriptors(owner)).flatMap(([name, { value }]) =>
    typeof value === 'function' && !OF_EVERY_CLASS.includes(name) && !INHERITED.includes(name)
      ? [[name, value as Call]]
      : [],
  );
}

/** Why the error that `call` ends with is not what it should be; undefined if it is. */
async function complaint(call: Call, args: unknown[], name: string): Promise<string | undefined> {
  try {
    await call(...args);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const isKnown = code === 'ERR_INVALID_ARG_TYPE' || code === 'ERR_OUT_OF_RANGE';
    const isNamed = error instanceof Error && error.message.startsWith(`\`${name}\` must be `);
    if (isKnown && isNamed && (error instanceof TypeError || error instanceof RangeError)) return undefined;
    return String(error);
  }
  return 'no error';
}

for (const [packageName, module, table] of [
  ['linux', linux, linuxTable],
  ['event', event, eventTable],
  ['bpf', bpf, bpfTable],
] as const) {
  const functions = functionsOf(module);

  t.test(`every function of ${packageName} has its arguments in the table`, (t) => {
    t.strictSame([...functions.keys()].sort(), Object.keys(table).sort());
    t.end();
  });

  for (const [name, args] of Object.entries(table)) {
    if (args.length === 0) continue;
    t.test(
      `${packageName}: ${name} refuses wrong arguments at once, by an error that names them`,
      leavingNothing(async (t) => {
        const call = functions.get(name);
        const good = args.map((argument) => argument.good);
        for (const [position, { wrong }] of args.entries()) {
          for (const [expected, value] of wrong) {
            const what = call && (await complaint(call, good.with(position, value), expected));
            if (what !== undefined) t.fail(`${expected}: ${inspect(value)}: ${what}`);
          }
        }
        t.ok(call);
      }),
    );
  }
}
