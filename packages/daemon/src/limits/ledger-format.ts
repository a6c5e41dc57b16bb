/*
 * The file of a `Ledger`, in words of 32 bits:
 *
 *   header   MAGIC, VERSION, the manager's pid, how many slots may be in use, how many bars were ever made; filled up to 4 KiB
 *   bars     BARS words: users that are barred, 0 for none; a ring, the oldest is overwritten
 *   slots    SLOTS × 16 words: pid, beat, condition, how many rows may be in use, the sums of its rows (connections, calls,
 *            helpers), how many connections it ever accepted; the rest is spare
 *   rows     from the next multiple of 64 KiB on SLOTS × ROWS × 4 words: uid, connections, calls, helpers
 */

/** What is counted of each user. */
export const COUNTED = ['connections', 'calls', 'helpers'] as const;
export type Counted = (typeof COUNTED)[number];

/** How a worker is: `starting` until it serves, `full` when it can take no connection, `draining` when it is to end. */
export const CONDITIONS = ['starting', 'serving', 'full', 'draining'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** How many workers there may be. */
export const SLOTS = 4096;

/** How many users one worker has room for. */
export const ROWS = 4096;

/** How many barred users are remembered. */
export const BARS = 4096;

/** "sdrL", and the number of this format. */
export const MAGIC = 0x4c72_6473;
export const VERSION = 1;

/* Words of the header. */
export const MANAGER = 2;
export const USED_SLOTS = 3;
export const MADE_BARS = 4;

/* Where the bars and the slots begin, in words. */
export const BARS_START = 1024;
const SLOTS_START = BARS_START + BARS;

/* Words of a slot; SUMS is the first of three, in the order of COUNTED. */
export const SLOT_WORDS = 16;
export const PID = 0;
export const BEAT = 1;
export const CONDITION = 2;
export const USED_ROWS = 3;
export const SUMS = 4;
export const ACCEPTED = 7;

/* Words of a row: the uid, and from COUNTS on one for each of COUNTED. */
export const ROW_WORDS = 4;
export const COUNTS = 1;

/** The size of header, bars and slots, in bytes. */
export const HEAD_SIZE = 4 * (SLOTS_START + SLOTS * SLOT_WORDS);

/** The size of a slot's rows, in bytes: a multiple of all sizes that a page may have. */
export const ROWS_SIZE = 4 * ROWS * ROW_WORDS;

/** Where the rows begin, in bytes. */
export const ROWS_START = Math.ceil(HEAD_SIZE / ROWS_SIZE) * ROWS_SIZE;

/** The size of the file, in bytes. */
export const SIZE = ROWS_START + SLOTS * ROWS_SIZE;

/** Where one of a slot's words is in the file. @param word `PID`, `BEAT` and so on */
export function wordAt(slot: number, word: number): number {
  return SLOTS_START + slot * SLOT_WORDS + word;
}
