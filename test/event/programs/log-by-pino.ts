/* Logs by pino, in a thread of its own: log-by-pino.js SOCKET. */
import { pino } from 'pino';

const options = { target: 'journal', socket: process.argv[2] };
const log = pino(pino.transport({ target: '@sdrx/event/pino', options }));
log.warn({ door: 'front' }, 'from a thread');
