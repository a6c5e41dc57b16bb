import { closeSync, openSync } from 'node:fs';
import { varlinkCall } from '../../support/varlink-call.js';
import type { Answer, Call } from './caller.js';
import { SOCKET_PATH } from './service.js';

/** The process of a `Caller`: makes the calls that it is told, one after another. */
process.on('message', async ({ method, parameters = {}, files = [], keys = {} }: Call) => {
  const fds = files.map(({ path, flags = 0 }) => openSync(path, flags));
  const answer: Answer = await varlinkCall(SOCKET_PATH, method, parameters, { fds, keys }).catch((error: Error) => ({
    closed: error.message,
  }));
  for (const fd of fds) closeSync(fd);
  process.send?.(answer);
});
