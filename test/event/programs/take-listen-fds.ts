// Takes the descriptors that were passed to it, with the options of its argument, and prints what it got, or the error, as JSON.
import { fstatSync, readFileSync, readlinkSync } from 'node:fs';
import { ListenFdsError, listenFds } from '@sdrx/event';
import { pidfdOpen } from '@sdrx/linux';

const CLOSE_ON_EXEC = 0o2000000;

/** The flags of an open descriptor, in octal in its fdinfo. proc_pid_fdinfo(5) */
function closedOnExec(fd: number): boolean {
  const [, flags = ''] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'ascii')) ?? [];
  return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) !== 0;
}

function take(): unknown {
  try {
    return listenFds(process.env, JSON.parse(process.argv[2] ?? '{}')).map(({ fd, name }) => ({
      name,
      number: fd.number,
      target: readlinkSync(`/proc/self/fd/${fd.number}`),
      closedOnExec: closedOnExec(fd.number),
    }));
  } catch (error) {
    if (!(error instanceof ListenFdsError)) throw error;
    return { variable: error.variable, message: error.message, reason: error.reason };
  }
}

if (process.env.LISTEN_PIDFDID === 'OWN') {
  using pidfd = pidfdOpen(process.pid);
  process.env.LISTEN_PIDFDID = String(fstatSync(pidfd.number, { bigint: true }).ino);
}
const first = take();
const second = take();
const left = Object.keys(process.env).filter((name) => name.startsWith('LISTEN_'));
process.stdout.write(JSON.stringify({ first, second, left }));
