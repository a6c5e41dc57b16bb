/** Installs userns-restrict and says what came of it, as one JSON object; with an argument, by that object file. */
import { BpfError, installUsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';

using loop = new EventLoop();
const [object] = process.argv.slice(2);
try {
  using restrict = installUsernsRestrict({ loop, ...(object !== undefined && { object }) });
  console.log(JSON.stringify({ hook: restrict.hook }));
} catch (error) {
  if (!(error instanceof BpfError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message, log: error.log }));
}
