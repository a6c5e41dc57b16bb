import {
  checkArray,
  checkBoolean,
  checkBytes,
  checkChoice,
  checkFd,
  checkFds,
  checkFunction,
  checkInstance,
  checkInteger,
  checkMethods,
  checkNumber,
  checkObject,
  checkPid,
  checkText,
  checkUint32,
  checkUint64,
  Fd,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';

const KIND = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';

/** How a check ends: undefined when it accepts. */
function outcome(check: () => void): unknown {
  try {
    check();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

t.test('a number is what is one, from the least to the most', (t) => {
  const value = fc.oneof(fc.double(), fc.integer());
  const bounds = fc.tuple(fc.double({ noNaN: true }), fc.double({ noNaN: true }));
  fc.assert(
    fc.property(value, bounds, (value, [least, most]) => {
      const expected = value >= least && value <= most ? undefined : RANGE;
      t.equal(
        outcome(() => checkNumber('x', value, least, most)),
        expected,
      );
    }),
  );
  t.end();
});

t.test('an integer is a number without a fraction', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.double(), fc.integer()), (value) => {
      const expected = Number.isSafeInteger(value) ? undefined : RANGE;
      t.equal(
        outcome(() => checkInteger('x', value)),
        expected,
      );
    }),
  );
  for (const value of ['1', null, undefined, {}, 1n, true])
    t.equal(
      outcome(() => checkInteger('x', value)),
      KIND,
    );
  t.end();
});

t.test("a descriptor's number is one of C's int", (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger()), (value) => {
      const fits = Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31;
      t.equal(
        outcome(() => checkFd(value)),
        fits ? undefined : RANGE,
      );
    }),
  );
  t.end();
});

t.test('every check accepts its kind and refuses all others', (t) => {
  const values = {
    text: 'text',
    number: 5,
    bigint: 5n,
    boolean: true,
    bytes: Buffer.alloc(1),
    array: [1],
    object: { subscribe: () => {} },
    callback: () => {},
    fd: new Fd(-1),
    null: null,
    undefined,
  };
  const checks: Readonly<Record<string, [check: (value: unknown) => void, ...accepted: (keyof typeof values)[]]>> = {
    checkNumber: [(value) => checkNumber('x', value), 'number'],
    checkInteger: [(value) => checkInteger('x', value), 'number'],
    checkFd: [(value) => checkFd(value), 'number'],
    checkPid: [(value) => checkPid(value), 'number'],
    checkUint32: [(value) => checkUint32('x', value), 'number'],
    checkUint64: [(value) => checkUint64('x', value), 'bigint'],
    checkText: [(value) => checkText('x', value), 'text'],
    checkBytes: [(value) => checkBytes('x', value), 'bytes'],
    checkBoolean: [(value) => checkBoolean('x', value), 'boolean'],
    checkFunction: [(value) => checkFunction('x', value), 'callback'],
    checkObject: [(value) => checkObject('x', value), 'bytes', 'object', 'fd'],
    checkArray: [(value) => checkArray('x', value, checkInteger), 'array'],
    checkFds: [(value) => checkFds('x', value), 'array'],
    checkInstance: [(value) => checkInstance('x', value, Fd), 'fd'],
    checkMethods: [(value) => checkMethods('x', value, 'an Observable', 'subscribe'), 'object'],
  };
  for (const [name, [check, ...accepted]] of Object.entries(checks)) {
    for (const [kind, value] of Object.entries(values)) {
      const expected = (accepted as string[]).includes(kind) ? undefined : KIND;
      t.equal(
        outcome(() => check(value)),
        expected,
        `${name}: ${kind}`,
      );
    }
  }
  t.end();
});

t.test('a choice is one of those that there are', (t) => {
  const check = (value: unknown) => outcome(() => checkChoice('x', value, ['left', 'right']));
  t.strictSame(['left', 'up', 'constructor', 5, undefined].map(check), [undefined, RANGE, RANGE, KIND, KIND]);
  t.end();
});

t.test('the message names the argument, what it must be, and what it is', (t) => {
  const messages: readonly [check: () => void, message: string][] = [
    [() => checkNumber('x', '5'), "`x` must be a number, not '5'"],
    [() => checkNumber('x', -1, 0), '`x` must be a number of 0 or more, not -1'],
    [() => checkInteger('x', 7, 1, 5), '`x` must be an integer from 1 to 5, not 7'],
    [() => checkInteger('x', 0.5), '`x` must be an integer, not 0.5'],
    [() => checkUint64('x', -1n), '`x` must be a bigint from 0 to 2⁶⁴ − 1, not -1n'],
    [() => checkArray('x', [1, null], checkInteger), '`x[1]` must be an integer, not null'],
    [() => checkChoice('x', 'up', ['left', 'right']), "`x` must be one of 'left', 'right', not 'up'"],
    [() => checkInstance('x', {}, Fd), '`x` must be an object of the class Fd, not {}'],
  ];
  for (const [check, message] of messages) t.throws(check, { message });
  t.end();
});
