import type { CommandLine } from '../program/command-line.js';
import { REQUEST_OPTIONS } from './namespace-request.js';

export const RUN = {
  program: 'nsresourcectl run',
  summary: `Runs COMMAND in a user namespace of its own with 65,536 ids that are lent to it: it is root in there,
and has no more rights outside than before. Needs no privileges, no /etc/subuid and no set-uid program.
The command takes the place of this program. All other namespaces are its own business:
  nsresourcectl run -- unshare --mount --pid --fork --mount-proc bash

Where the daemon restricts namespaces, to make a file on the host's file systems fails with EPERM, as its owner
would be lent to somebody else later: have COMMAND mount a tmpfs or an image for what it writes.

Exit status: the command's; 125 if there could be no namespace, 126 if COMMAND can't be executed, 127 if
it is not found.`,
  options: REQUEST_OPTIONS,
  flags: { network: "Gives it a network namespace, with an interface 'host0' whose other end is the host's" },
  operands: '-- COMMAND [ARGUMENT...]',
} as const satisfies CommandLine<typeof REQUEST_OPTIONS>;
