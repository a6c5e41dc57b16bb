import { constants, statSync } from 'node:fs';
import {
  checkChoice,
  checkNumber,
  connect,
  EBUSY,
  EHOSTDOWN,
  EIO,
  EOPNOTSUPP,
  EPOLLERR,
  EPOLLIN,
  EPOLLPRI,
  type Fd,
  isSystemError,
  openFile,
  outOfRange,
  read,
  readKernelFile,
  SystemError,
  unixSocket,
  write,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { AbsolutePath, EnvironmentError, readEnvironment, textDecoder } from '../environment.js';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

export interface MemoryPressureOptions extends SourceOptions {
  /** `some`: a task waits for memory (the default); `full`: all of them do. */
  readonly type?: 'some' | 'full';
  /** How long tasks must have waited within the window, in milliseconds; 200 by default. */
  readonly threshold?: number;
  /** The window, in milliseconds; 2000 by default. Without CAP_SYS_RESOURCE the kernel wants multiples of 2000. */
  readonly window?: number;
}

/** `EventLoop.memoryPressure`, which tells what users need to know. */
export function memoryPressure(core: LoopCore, options: MemoryPressureOptions = {}): Observable<void> {
  const { type, threshold, window, ...rest } = options;
  if (type !== undefined) checkChoice('type', type, ['some', 'full']);
  const trigger = psiTrigger(type ?? 'some', threshold ?? 200, window ?? 2000);
  return core.source<void>('kernel', rest, (source) => {
    const fixed = type !== undefined || threshold !== undefined || window !== undefined;
    const { fd, events } = openFromEnvironment(process.env, fixed) ?? openPressureFile(trigger);
    try {
      const watch = core.watcher.watch(fd.number, events, (revents) => {
        try {
          if (events === EPOLLIN && !drain(fd.number)) source.pendComplete();
          // A pressure file that was removed reports an error, and pressure with it, for ever.
          else if (events === EPOLLPRI && (revents & EPOLLERR) !== 0)
            throw new SystemError(
              EIO,
              'memory_pressure',
              undefined,
              'the pressure file is gone, with its control group',
            );
          else source.pend();
        } catch (error) {
          source.pendError(error);
        }
      });
      const detach = (): void => {
        watch[Symbol.dispose]();
        fd.close();
      };
      return { detach };
    } catch (error) {
      fd.close();
      throw error;
    }
  });
}

interface PressureFile {
  readonly fd: Fd;
  /** How it tells: the kernel's pressure files by EPOLLPRI, whatever else a service manager passes by EPOLLIN. */
  readonly events: number;
}

/** The line that psi.rst wants written, NUL and all. */
function psiTrigger(type: 'some' | 'full', threshold: number, window: number): Buffer {
  checkNumber('window', window, 500, 10_000, 'a number of milliseconds');
  checkNumber('threshold', threshold, Number.MIN_VALUE, Number.MAX_VALUE, 'a number of milliseconds');
  if (threshold > window) throw outOfRange('threshold', `at most the window's ${window} ms`, threshold);
  return Buffer.from(`${type} ${Math.round(threshold * 1e3)} ${Math.round(window * 1e3)}\0`);
}

const Base64 = textDecoder('base64', (text) =>
  /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined,
);

function openFromEnvironment(environment: NodeJS.ProcessEnv, fixed: boolean): PressureFile | undefined {
  const path = readEnvironment(environment, 'MEMORY_PRESSURE_WATCH', AbsolutePath);
  if (path === undefined) return undefined;
  if (path === '/dev/null')
    throw new SystemError(EHOSTDOWN, 'memory_pressure', path, 'turned off by MEMORY_PRESSURE_WATCH');
  if (fixed)
    throw new SystemError(
      EBUSY,
      'memory_pressure',
      path,
      'MEMORY_PRESSURE_WATCH says what to watch for, so options can not',
    );
  const trigger = readEnvironment(environment, 'MEMORY_PRESSURE_WRITE', Base64);
  const kind = statSync(path);
  if (kind.isSocket()) {
    const socket = unixSocket();
    return configured({ fd: socket, events: EPOLLIN }, trigger, () => connect(socket.number, path));
  }
  if (!kind.isFile() && !kind.isFIFO() && !kind.isCharacterDevice()) {
    throw new EnvironmentError('MEMORY_PRESSURE_WATCH', path, 'the path of a file, fifo, socket or character device');
  }
  return configured({ fd: open(path), events: kind.isFile() ? EPOLLPRI : EPOLLIN }, trigger);
}

function openPressureFile(trigger: Buffer): PressureFile {
  for (const path of pressureFiles()) {
    try {
      return configured({ fd: open(path), events: EPOLLPRI }, trigger);
    } catch (error) {
      // Not there, not ours to write, or pressure information is compiled in but off: the next one may do.
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS', 'EOPNOTSUPP')) throw error;
    }
  }
  throw new SystemError(
    EOPNOTSUPP,
    'memory_pressure',
    undefined,
    'neither the control group nor the system has pressure information',
  );
}

/** The own cgroup's file, where cgroup v2 is mounted, then the system's. */
function* pressureFiles(): Generator<string> {
  const cgroup = readKernelFile('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('0::'))
    ?.slice('0::'.length);
  // The root cgroup has no file of its own.
  if (cgroup !== undefined && cgroup !== '/') yield `/sys/fs/cgroup${cgroup}/memory.pressure`;
  yield '/proc/pressure/memory';
}

function open(path: string): Fd {
  return openFile(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY);
}

/** Connects and writes the trigger; on failure nothing stays open. */
function configured(file: PressureFile, trigger: Buffer | undefined, connected?: () => void): PressureFile {
  try {
    connected?.();
    if (trigger !== undefined && trigger.length > 0) write(file.fd.number, trigger);
    return file;
  } catch (error) {
    file.fd.close();
    throw error;
  }
}

/** As much as a pipe holds; what a chatty sender has beyond that is another event. */
const discarded = Buffer.allocUnsafeSlow(65_536);

/** Takes what was sent to wake us. @returns false when the other end is gone */
function drain(fd: number): boolean {
  try {
    return read(fd, discarded) !== 0;
  } catch (error) {
    // It left without having read the trigger.
    if (isSystemError(error, 'ECONNRESET')) return false;
    throw error;
  }
}
