import { closeSync, openSync } from 'node:fs';
import { asUser } from '../../support/as-user.js';
import { type RawReply, varlinkCall } from '../../support/varlink-call.js';
import { SOCKET_PATH } from './service.js';

/** A file that is opened by root and passed. */
export interface PassedFile {
  readonly path: string;
  /** Those of open(2); read-only unless given. */
  readonly flags?: number;
}

/** A call, by a client that can say anything. */
export interface Call {
  readonly method: string;
  readonly parameters?: unknown;
  readonly files?: readonly PassedFile[];
  /** Further keys of the message. */
  readonly keys?: Readonly<Record<string, unknown>>;
}

/** The reply, or why there was none. */
export type Answer = RawReply | { readonly closed: string };

/** Calls the daemon as a user. What comes with the reply is closed. */
export async function callAs(uid: number, { method, parameters = {}, files = [], keys = {} }: Call): Promise<Answer> {
  const fds = files.map(({ path, flags = 0 }) => openSync(path, flags));
  const received: number[] = [];
  try {
    return await asUser(uid, () => varlinkCall(SOCKET_PATH, method, parameters, { fds, keys, received }));
  } catch (error) {
    return { closed: String(error) };
  } finally {
    for (const fd of [...fds, ...received]) closeSync(fd);
  }
}
