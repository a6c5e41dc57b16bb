// Opens /dev/net/tun, becomes the user of its first argument, attaches to an interface, and prints the error's code.
import { attachTun, openTun } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';

const [uid, name = '', flags] = process.argv.slice(2);
using tun = openTun();
process.setuid?.(Number(uid));
process.stdout.write(String(errorCode(() => attachTun(tun.number, name, Number(flags)))));
