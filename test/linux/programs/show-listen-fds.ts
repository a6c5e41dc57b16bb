// Prints what it was activated with, and what is left of that in its environment, as JSON.
import { readlinkSync } from 'node:fs';
import { listenFds } from '@sdrx/event';

const passed = listenFds().map(({ fd, name }) => [fd.number, name, readlinkSync(`/proc/self/fd/${fd.number}`)]);
console.log(JSON.stringify({ passed, left: Object.keys(process.env).filter((name) => name.startsWith('LISTEN_')) }));
