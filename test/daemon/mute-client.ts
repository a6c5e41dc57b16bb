// A user whose files never answer passes them to a daemon, for blocking-descriptors.test.ts.
import { namespaceResource } from '@sdrx/daemon';
import { MUTE_FILES, type MuteFile, MuteFuse } from '../support/mute-fuse.js';
import { UserNamespace } from '../support/user-namespace.js';
import { varlinkCall } from '../support/varlink-call.js';

/** What it does, as JSON in its argument. */
export interface MuteCalls {
  readonly socketPath: string;
  readonly uid: number;
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Whether the first descriptor is a good namespace, so that the mute one is the second. */
  readonly afterNamespace: boolean;
  readonly times: number;
}

/** What came of it: for each file the different replies. */
export type MuteReplies = Readonly<Record<MuteFile, readonly string[]>>;

const { socketPath, uid, method, parameters, afterNamespace, times }: MuteCalls = JSON.parse(process.argv[2] ?? '');

// First of all: while there are mute files no process can be started.
const namespace = new UserNamespace(uid);
const fd = namespace.open();
const fuse = await MuteFuse.start(undefined, uid);
process.setegid?.(uid);
process.seteuid?.(uid);
const replies: Partial<Record<MuteFile, readonly string[]>> = {};
for (const file of MUTE_FILES) {
  const fds = [...(afterNamespace ? [fd.number] : []), fuse.fd(file)];
  const all = await Promise.all(
    Array.from({ length: times }, () =>
      varlinkCall(socketPath, `${namespaceResource.name}.${method}`, parameters, { fds }).then(
        (reply) => JSON.stringify(reply),
        (error: unknown) => String(error),
      ),
    ),
  );
  replies[file] = [...new Set(all)];
}
process.send?.(replies);
process.once('message', () => {
  process.seteuid?.(0);
  fuse[Symbol.dispose]();
  fd.close();
  namespace[Symbol.dispose]();
  process.disconnect();
});
