import { atLoad, isSystemError } from '@sdrx/linux';
import { sendEntry } from './send-journal-entry.js';

/** How many entries may wait for the journal, and how many bytes in all. */
const CAPACITY = 1024;
const CAPACITY_BYTES = 4 * 1024 * 1024;

/** How long entries wait for a journal that takes none, and keep the process from ending, in milliseconds. */
const PATIENCE = 5000;

/** How long to wait between two attempts, in milliseconds: at first, and at most. */
const SHORTEST_PAUSE = 2;
const LONGEST_PAUSE = 200;

/** An entry on its way to the journal. */
export interface OutgoingEntry {
  /** The journal's socket. */
  readonly socket: string;
  /** As it is sent. */
  readonly bytes: Uint8Array;
  /** Called when the journal does not take it. */
  readonly refused: () => void;
}

let waiting: OutgoingEntry[] = [];
let waitingBytes = 0;
/** Since when nothing was taken. */
let since = 0;
let timer: NodeJS.Timeout | undefined;
let pause = SHORTEST_PAUSE;

/**
 * Sends an entry to the journal without ever waiting. One that it has no room for now is kept, and all that come after it, so that
 * their order stays. When nothing is taken for 5 s what waits is refused, as is what there is no room for here, and what waits when the
 * process ends.
 */
export function deliverEntry(entry: OutgoingEntry): void {
  if (waiting.length > 0) flush();
  if (waiting.length === 0 && send(entry)) return;
  if (waiting.length >= CAPACITY || waitingBytes + entry.bytes.byteLength > CAPACITY_BYTES) {
    entry.refused();
    return;
  }
  if (waiting.length === 0) {
    process.on('exit', giveUp);
    since = atLoad.performanceNow();
  }
  waiting.push(entry);
  waitingBytes += entry.bytes.byteLength;
  if (timer === undefined) timer = atLoad.setTimeout(retry, SHORTEST_PAUSE);
}

function retry(): void {
  timer = undefined;
  flush();
  if (waiting.length > 0 && atLoad.performanceNow() - since >= PATIENCE) giveUp();
  if (waiting.length === 0) return;
  pause = Math.min(pause * 2, LONGEST_PAUSE);
  timer = atLoad.setTimeout(retry, pause);
}

/** Sends what waits, as far as there is room now. */
function flush(): void {
  let sent = 0;
  while (sent < waiting.length && send(waiting[sent] as OutgoingEntry)) sent++;
  if (sent > 0) forget(sent);
}

function giveUp(): void {
  flush();
  const refused = waiting;
  forget(refused.length);
  for (const entry of refused) entry.refused();
}

function forget(count: number): void {
  waiting = waiting.slice(count);
  waitingBytes = waiting.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  pause = SHORTEST_PAUSE;
  since = atLoad.performanceNow();
  if (waiting.length === 0) process.off('exit', giveUp);
}

/** @returns false when the journal has no room for it now. What can't be sent at all is refused, and counts as sent. */
function send({ socket, bytes, refused }: OutgoingEntry): boolean {
  try {
    return sendEntry(socket, bytes);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    refused();
    return true;
  }
}
