import { readFileSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { check, isSystemError, SystemError } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';

/** The two numbers between 1 and 133 that Linux gives to no error. */
const UNUSED = [41, 58];

t.test('every error number from 1 to 133 has a name, the same as in Node where Node has one', (t) => {
  const names = getSystemErrorMap();
  for (let errno = 1; errno <= 133; errno++) {
    const { code } = new SystemError(errno, 'call');
    if (UNUSED.includes(errno)) t.equal(code, `E${errno}`);
    else t.match(code, /^E\d?[A-Z]+\d*[A-Z]*$/, `${errno} is ${code}`);
    // Of the two names of 95 the C library has the other.
    const known = errno === 95 ? 'EOPNOTSUPP' : names.get(-errno)?.[0];
    if (known !== undefined) t.equal(code, known);
  }
  t.end();
});

t.test('the error numbers that are exported have the name they are exported by', async (t) => {
  const named = Object.entries(await import('@sdrx/linux')).filter(([name]) => /^E[A-Z]+$/.test(name));
  // These two are second names.
  const errors = named.filter(([name]) => !/^EPOLL|^EWOULDBLOCK$|^ENOTSUP$/.test(name));
  t.ok(errors.length > 20);
  for (const [name, errno] of errors) t.equal(new SystemError(Number(errno), 'call').code, name);
});

t.test("it has the shape of Node's own errors", (t) => {
  const error = new SystemError(2, 'open', '/missing');
  let nodes: unknown;
  try {
    readFileSync('/missing');
  } catch (thrown) {
    nodes = thrown;
  }
  t.match(nodes, { code: error.code, errno: error.errno, syscall: error.syscall, message: error.message });
  t.equal(error.errno, -2);
  t.equal(error.name, 'SystemError');
  t.ok(error instanceof Error);
  t.end();
});

t.test('the message names the call, and what it was done to if that is known', (t) => {
  t.equal(new SystemError(13, 'bind', '/run/x').message, "EACCES: permission denied, bind '/run/x'");
  t.equal(new SystemError(11, 'poll').message, 'EAGAIN: resource temporarily unavailable, poll');
  t.end();
});

t.test('a number that is no error has no name, but is told', (t) => {
  t.match(new SystemError(4000, 'call'), { code: 'E4000', errno: -4000, message: 'E4000: unknown error, call' });
  t.end();
});

t.test("isSystemError knows ours and Node's, by any of the names given", (t) => {
  const ours = new SystemError(2, 'open');
  t.ok(isSystemError(ours));
  t.ok(isSystemError(ours, 'EPERM', 'ENOENT'));
  t.notOk(isSystemError(ours, 'EPERM'));
  t.throws(() => readFileSync('/missing'));
  try {
    readFileSync('/missing');
  } catch (error) {
    t.ok(isSystemError(error, 'ENOENT'));
  }
  t.notOk(isSystemError(new RangeError('no')));
  t.notOk(isSystemError({ code: 'ENOENT', syscall: 'open' }));
  t.notOk(isSystemError(undefined));
  t.end();
});

t.test('check passes on every result but −1', (t) => {
  fc.assert(
    fc.property(fc.integer(), (result) => {
      fc.pre(result !== -1);
      return check(result, 'call') === result;
    }),
  );
  t.throws(() => check(-1, 'call', 7), { name: 'SystemError', syscall: 'call', subject: '7' });
  t.end();
});
