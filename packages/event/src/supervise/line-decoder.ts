import { StringDecoder } from 'node:string_decoder';
import { checkBytes, checkChoice, checkInteger, checkObject } from '@sdrx/linux';

const ENCODINGS = ['utf8', 'latin1', 'utf16le'] as const;

/** How bytes become lines. */
export interface LineOptions {
  /** By default utf8, where bytes that are none become U+FFFD. */
  readonly encoding?: (typeof ENCODINGS)[number];
  /** The most characters (of UTF-16) that a line has, 2 or more, by default 65,536. A longer one comes in several parts. */
  readonly longestLine?: number;
}

/** A line, without its end. */
export interface Line {
  /** Without the newline. */
  readonly text: string;
  /** Whether it was longer than a line may be: the next one goes on with it. */
  readonly cut: boolean;
}

/** Makes lines of bytes that come in pieces. Never holds more than the longest line. */
export class LineDecoder {
  readonly #decoder: StringDecoder;
  readonly #longest: number;
  /** What has come of the line under way. */
  #held = '';

  /** @throws TypeError and RangeError for options that can't be */
  constructor(options: LineOptions = {}) {
    checkObject('options', options);
    const { encoding = 'utf8', longestLine = 65_536 } = options;
    checkChoice('encoding', encoding, ENCODINGS);
    checkInteger('longestLine', longestLine, 2);
    this.#decoder = new StringDecoder(encoding);
    this.#longest = longestLine;
  }

  /** @returns the lines that these bytes end, and parts of one that is too long */
  decode(bytes: Uint8Array): Line[] {
    checkBytes('bytes', bytes);
    const text = this.#decoder.write(bytes);
    const lines: Line[] = [];
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      this.#hold(text.slice(from, end), lines);
      lines.push({ text: this.#held, cut: false });
      this.#held = '';
      from = end + 1;
    }
    this.#hold(text.slice(from), lines);
    return lines;
  }

  /** There will be no more. @returns the last line, if it had no end */
  end(): Line[] {
    const lines: Line[] = [];
    this.#hold(this.#decoder.end(), lines);
    if (this.#held !== '') lines.push({ text: this.#held, cut: false });
    this.#held = '';
    return lines;
  }

  #hold(text: string, lines: Line[]): void {
    this.#held += text;
    while (this.#held.length > this.#longest) {
      // Not between the two halves of one character.
      const length = isHighSurrogate(this.#held.charCodeAt(this.#longest - 1)) ? this.#longest - 1 : this.#longest;
      lines.push({ text: this.#held.slice(0, length), cut: true });
      this.#held = this.#held.slice(length);
    }
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
