import type { EventLoop } from '@sdrx/event';
import { type Fd, setNonBlocking, socketPair, spawn } from '@sdrx/linux';
import { lastValueFrom, ReplaySubject, takeUntil, timer } from 'rxjs';

/** A process that was started to speak with, and our end of the socket to it. */
export interface ServiceProcess {
  readonly socket: Fd;
  /** Tells it to end. It is reaped when it does, and killed if it has not when the loop ends. */
  end(): void;
  /** Waits until it has ended, for 5 seconds. */
  ended(): Promise<void>;
}

/** How long is waited for the end of a process, in milliseconds. */
const END_TIME = 5000;

/**
 * Starts a service of our own, as a service manager does for a connection of a socket with `Accept=yes`: the connected socket is its
 * descriptor 3. sd_listen_fds(3)
 * @throws as `spawn`
 */
export function startProgram(loop: EventLoop, program: string): ServiceProcess {
  return start(loop, (theirs) => spawn(program, { listenFds: { varlink: theirs } }));
}

/**
 * Starts ssh, which connects to a socket of another machine. ssh(1) -W
 * @throws as `spawn`
 */
export function startSsh(loop: EventLoop, destination: string, path: string): ServiceProcess {
  // -T, -e none: what goes over it is no terminal's, and no character of it is a command.
  const args = ['-T', '-e', 'none', '-W', path, '--', destination];
  return start(loop, (theirs) => {
    // ssh does not expect to be told to try again.
    setNonBlocking(theirs.number, false);
    return spawn('ssh', { args, fds: [theirs, theirs, 2] });
  });
}

function start(loop: EventLoop, begin: (theirs: Fd) => ReturnType<typeof spawn>): ServiceProcess {
  const [socket, theirs] = socketPair();
  try {
    const child = begin(theirs);
    const exit = new ReplaySubject<unknown>();
    const running = loop.child(child, { own: true, description: 'varlink service' }).subscribe(exit);
    return {
      socket,
      end: () => {
        if (!running.closed) child.kill();
      },
      ended: async () => {
        await lastValueFrom(exit.pipe(takeUntil(timer(END_TIME))), { defaultValue: undefined });
      },
    };
  } catch (error) {
    socket.close();
    throw error;
  } finally {
    theirs.close();
  }
}
