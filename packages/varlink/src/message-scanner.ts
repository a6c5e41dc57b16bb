const ORDINARY = 0;
const END = 1;
const QUOTE = 2;
const BACKSLASH = 3;
const OPEN = 4;
const CLOSE = 5;
const COLON = 6;

/** What a byte of JSON means for depth, members and end. Bytes of a longer UTF-8 character are all ordinary. */
const KINDS = new Uint8Array(256).fill(ORDINARY);
KINDS[0] = END;
KINDS['"'.charCodeAt(0)] = QUOTE;
KINDS['\\'.charCodeAt(0)] = BACKSLASH;
for (const open of '{[') KINDS[open.charCodeAt(0)] = OPEN;
for (const close of '}]') KINDS[close.charCodeAt(0)] = CLOSE;
KINDS[':'.charCodeAt(0)] = COLON;

/** What a look at some bytes of a message found: where its NUL is, or one of these. */
export const UNFINISHED = -1;
export const TOO_LONG = -2;
export const TOO_DEEP = -3;

/** What is longer or deeper than a scanner's limits. */
export interface MessageBounds {
  /** Bytes of a message, its NUL included. */
  readonly messageSize: number;
  /** Objects and arrays within each other. */
  readonly messageDepth: number;
}

/**
 * Judges messages by their bytes as these come in, before anything is kept or parsed: where one ends, whether it is too
 * long or too deep, and how many members it has. Brackets and colons within strings do not count, an escaped quote ends none.
 * What is no JSON is not noticed: the parser stops where it goes wrong, and up to there it sees what the scanner saw.
 */
export class MessageScanner {
  readonly #bounds: MessageBounds;
  /** Bytes of the message so far. */
  #size = 0;
  #depth = 0;
  #members = 0;
  /** Of the message that ended last. */
  #lastMembers = 0;
  #quoted = false;
  /** Whether the next byte is escaped. */
  #escaping = false;

  /** @throws RangeError for a bound that is no number, or negative, or a size of 0 */
  constructor(bounds: MessageBounds) {
    const { messageSize, messageDepth } = bounds;
    if (!(messageSize > 0)) throw new RangeError(`\`messageSize\` must be a number above 0, not ${messageSize}`);
    if (!(messageDepth >= 0))
      throw new RangeError(`\`messageDepth\` must be a number of 0 or more, not ${messageDepth}`);
    this.#bounds = bounds;
  }

  /** How many members all objects of the message have together whose end was found last, if it is JSON. */
  get members(): number {
    return this.#lastMembers;
  }

  /**
   * Looks at the bytes from `start` to `end`, which follow those that it was given before.
   * @returns where the message's NUL is; the next byte is another message's. Or UNFINISHED; TOO_LONG or TOO_DEEP, after
   * which it is of no use.
   */
  scan(bytes: Uint8Array, start: number, end: number): number {
    const { messageSize, messageDepth } = this.#bounds;
    // The NUL has to fit, too.
    const stop = Math.min(end, start + messageSize - this.#size);
    let depth = this.#depth;
    let members = this.#members;
    let quoted = this.#quoted;
    let escaped = this.#escaping ? start : -1;
    for (let at = start; at < stop; at++) {
      const kind = KINDS[bytes[at] as number];
      if (kind === ORDINARY) continue;
      if (kind === END) {
        this.#lastMembers = members;
        this.#begin();
        return at;
      }
      if (quoted) {
        if (at === escaped) continue;
        if (kind === QUOTE) quoted = false;
        else if (kind === BACKSLASH) escaped = at + 1;
      } else if (kind === QUOTE) {
        quoted = true;
      } else if (kind === OPEN) {
        if (++depth > messageDepth) return TOO_DEEP;
      } else if (kind === COLON) {
        members++;
      } else if (kind === CLOSE && depth > 0) {
        depth--;
      }
    }
    this.#size += stop - start;
    if (this.#size >= messageSize) return TOO_LONG;
    this.#depth = depth;
    this.#members = members;
    this.#quoted = quoted;
    this.#escaping = escaped === end;
    return UNFINISHED;
  }

  #begin(): void {
    this.#size = 0;
    this.#depth = 0;
    this.#members = 0;
    this.#quoted = false;
    this.#escaping = false;
  }
}
