import { constants, statSync } from 'node:fs';
import {
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
  read,
  readKernelFile,
  SystemError,
  unixSocket,
  write,
} from '@sdrx/linux';
import type { Attachment } from '../core/attachment.js';
import type { SourceHandle } from '../core/source-handle.js';
import { AbsolutePath, EnvironmentError, readEnvironment, textDecoder } from './environment.js';
import type { WantedPressure } from './kernel.js';
import { USUAL_THRESHOLD, USUAL_WINDOW } from './usual-pressure.js';
import type { Watcher } from './watcher.js';

/** Watches what the environment says, else the pressure of the own control group, else that of the system. */
export function watchMemoryPressure(
  watcher: Watcher,
  { type, threshold, window }: WantedPressure,
  observer: SourceHandle<void>,
): Attachment<void> {
  const fixed = type !== undefined || threshold !== undefined || window !== undefined;
  const { fd, events } =
    openFromEnvironment(process.env, fixed) ?? openPressureFile(psiTrigger(type, threshold, window));
  try {
    const watch = watcher.watch(fd.number, events, (revents) => {
      try {
        if (events === EPOLLIN && !drain(fd.number)) observer.pendComplete();
        // A pressure file that was removed reports an error, and pressure with it, for ever.
        else if (events === EPOLLPRI && (revents & EPOLLERR) !== 0)
          throw new SystemError(EIO, 'memory_pressure', undefined, 'the pressure file is gone, with its control group');
        else observer.pend();
      } catch (error) {
        observer.pendError(error);
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
}

/** The line that psi.rst wants written, NUL and all. */
function psiTrigger(type: 'some' | 'full' = 'some', threshold = USUAL_THRESHOLD, window = USUAL_WINDOW): Buffer {
  return Buffer.from(`${type} ${Math.round(threshold * 1e3)} ${Math.round(window * 1e3)}\0`);
}

interface PressureFile {
  readonly fd: Fd;
  /** How it tells: the kernel's pressure files by EPOLLPRI, whatever else a service manager passes by EPOLLIN. */
  readonly events: number;
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
