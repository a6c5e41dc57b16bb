import {
  atLoad,
  duplicate,
  ENOBUFS,
  enlargeSendBuffer,
  type Fd,
  isSystemError,
  SOCK_DGRAM,
  SystemError,
  sendMessage,
  unixSocket,
} from '@sdrx/linux';

/** How many messages may wait for the service manager. */
const CAPACITY = 256;

/** How long a message that waits keeps the process from ending, and when a warning comes of it, in milliseconds. */
const PATIENCE = 5000;

/** How long to wait between two attempts, in milliseconds: at first, and at most. */
const SHORTEST_PAUSE = 5;
const LONGEST_PAUSE = 200;

/** Room for a message of the size that the C library's sd_notify(3) makes room for, in bytes. */
const SEND_BUFFER = 8 * 1024 * 1024;

/** A message to the service manager. */
export interface Message {
  /** Where it goes. */
  readonly to: string;
  readonly text: string;
  /** Messages with the same word here say the same, or what is newer makes the older one void. */
  readonly about?: string | undefined;
}

interface WaitingMessage extends Message {
  /** Copies of those that were sent along. */
  readonly fds: readonly Fd[];
  readonly since: number;
}

let waiting: WaitingMessage[] = [];
let timer: NodeJS.Timeout | undefined;
let pause = SHORTEST_PAUSE;
let warned = false;

/**
 * Sends a message to the service manager without ever waiting. One that the manager has no room for now waits for it, with copies
 * of its descriptors, and all that come after it, so that the order is kept.
 * @throws ENOBUFS when too many wait already, what sendmsg(2) fails with, and EMFILE, EBADF
 */
export function deliver(message: Message, fds: readonly number[]): void {
  if (waiting.length > 0) flush();
  if (waiting.length === 0 && send(message, fds)) return;
  if (message.about !== undefined) drop(({ to, about }) => to === message.to && about === message.about);
  if (waiting.length >= CAPACITY) {
    throw new SystemError(ENOBUFS, 'sd_notify', message.to, `the service manager has not taken ${CAPACITY} messages`);
  }
  waiting.push({ ...message, fds: copies(fds), since: atLoad.performanceNow() });
  timer ??= atLoad.setTimeout(retry, SHORTEST_PAUSE);
}

function retry(): void {
  timer = undefined;
  flush();
  const [oldest] = waiting;
  if (oldest === undefined) {
    pause = SHORTEST_PAUSE;
    warned = false;
    return;
  }
  pause = Math.min(pause * 2, LONGEST_PAUSE);
  timer = atLoad.setTimeout(retry, pause);
  if (atLoad.performanceNow() - oldest.since < PATIENCE) return;
  // It goes on, but no longer keeps the process from ending.
  timer.unref();
  if (warned) return;
  warned = true;
  const what = waiting.map(({ text }) => text.split('\n', 1)[0]?.slice(0, 100)).slice(0, 3);
  process.emitWarning(
    `the service manager at ${oldest.to} has not taken ${waiting.length} messages for ${PATIENCE / 1000} s: ${what.join(', ')}`,
  );
}

/** Sends what waits, as far as there is room now. What can't be sent at all is dropped, with a warning. */
function flush(): void {
  for (let [next] = waiting; next !== undefined; [next] = waiting) {
    const { to, fds } = next;
    try {
      if (
        !send(
          next,
          fds.map(({ number }) => number),
        )
      )
        return;
      waiting.shift();
      for (const fd of fds) fd.close();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      process.emitWarning(`messages to the service manager are lost: ${error.message}`);
      drop((other) => other.to === to);
    }
  }
}

function drop(which: (message: WaitingMessage) => boolean): void {
  const dropped = waiting.filter(which);
  waiting = waiting.filter((message) => !which(message));
  for (const { fds } of dropped) for (const fd of fds) fd.close();
}

/** @returns false when the manager has no room for it now */
function send({ to, text }: Message, fds: readonly number[]): boolean {
  using socket = unixSocket(SOCK_DGRAM);
  const bytes = Buffer.from(text);
  try {
    return sendMessage(socket.number, bytes, { fds, to }) !== undefined;
  } catch (error) {
    if (!isSystemError(error, 'EMSGSIZE') || error.syscall !== 'sendmsg') throw error;
    enlargeSendBuffer(socket.number, SEND_BUFFER);
    return sendMessage(socket.number, bytes, { fds, to }) !== undefined;
  }
}

function copies(fds: readonly number[]): Fd[] {
  const made: Fd[] = [];
  try {
    for (const fd of fds) made.push(duplicate(fd));
    return made;
  } catch (error) {
    for (const fd of made) fd.close();
    throw error;
  }
}
