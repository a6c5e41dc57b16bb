/* A program in which errors go uncaught: error-survivor.js. It says what it was told. */
import { Log, surviveErrors } from '@sdrx/daemon';
import { SystemError } from '@sdrx/linux';

const log = new Log('survivor');
using _errors = surviveErrors(log, () => process.stdout.write('to end\n'));
const later = (error: Error) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, 20);
    setImmediate(() => {
      throw error;
    });
  });
await later(new SystemError(28, 'epoll_ctl', '7'));
process.stdout.write('goes on\n');
await later(new TypeError('a mistake'));
process.stdout.write('end\n');
