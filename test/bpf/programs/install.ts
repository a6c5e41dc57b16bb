/** Installs userns-restrict and says what came of it, as one JSON object. */
import { BpfError, installUsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';

using loop = new EventLoop();
try {
  using restrict = installUsernsRestrict({ loop });
  console.log(JSON.stringify({ hook: restrict.hook }));
} catch (error) {
  if (!(error instanceof BpfError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message, log: error.log }));
}
