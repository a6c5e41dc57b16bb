// Starts a program without room for its pidfd; prints the error's code and the children that are left.
import { spawn } from '@sdrx/linux';
import { children } from '../../support/children.js';
import { errorCode } from '../../support/error-code.js';
import { fillFds } from '../../support/fill-fds.js';

const filling = fillFds(0);
const code = errorCode(() => spawn('sleep', { args: ['1000'] }));
for (const fd of filling) fd.close();
process.stdout.write(JSON.stringify({ code, children: children() }));
