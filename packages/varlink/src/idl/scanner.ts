import { InterfaceSyntaxError } from './interface-syntax-error.js';

/** A word or a sign of the definition language; empty at the end of the text. */
export interface Token {
  readonly text: string;
  /** Where it begins. */
  readonly at: number;
  /** The comment that stands right above it. */
  readonly description: string | undefined;
}

const SPACE = /[ \t]+/y;
const LINE_END = /\r\n|[\n\r\u2028\u2029]/y;
const COMMENT = /#[^\n\r\u2028\u2029]*/y;
const TOKEN = /->|\[\]|\[string\]|[A-Za-z0-9][A-Za-z0-9._-]*|[(),:?]/y;

/** Divides the text of an interface into words and signs, each with the comment above it. */
export class Scanner {
  readonly #text: string;
  #position = 0;
  #token: Token;

  /** @throws InterfaceSyntaxError for a text that does not begin with a word or a sign */
  constructor(text: string) {
    this.#text = text;
    this.#token = this.#read();
  }

  /** What comes next. */
  get token(): Token {
    return this.#token;
  }

  /** Takes what comes next. @throws InterfaceSyntaxError if what follows is neither a word nor a sign */
  take(): Token {
    const token = this.#token;
    this.#token = this.#read();
    return token;
  }

  /** Takes what comes next if it is this. */
  takeIf(text: string): boolean {
    if (this.#token.text !== text) return false;
    this.take();
    return true;
  }

  /** @throws InterfaceSyntaxError if something else comes next */
  require(text: string): void {
    if (!this.takeIf(text)) throw this.expected(`'${text}'`);
  }

  /** The error of a text that has something else here. */
  expected(what: string): InterfaceSyntaxError {
    const { text, at } = this.#token;
    return this.error(`expected ${what}, not ${text === '' ? 'the end' : `'${text}'`}`, at);
  }

  /** An error at a place of the text. */
  error(message: string, at: number): InterfaceSyntaxError {
    const before = this.#text.slice(0, at).split(/\r\n|[\n\r\u2028\u2029]/);
    return new InterfaceSyntaxError(message, before.length, (before.at(-1) ?? '').length + 1);
  }

  #read(): Token {
    const comment = this.#skip();
    const description = comment.length === 0 ? undefined : comment.join('\n');
    const at = this.#position;
    const text = this.#match(TOKEN) ?? '';
    if (text === '' && at < this.#text.length) {
      throw this.error(`unexpected '${String.fromCodePoint(this.#text.codePointAt(at) ?? 0)}'`, at);
    }
    return { text, at, description };
  }

  /**
   * Passes over what separates words.
   * @returns the lines of the comment that no empty line parts from what follows
   */
  #skip(): string[] {
    let comment: string[] = [];
    // What stands behind a word is not about the next one.
    let onLineOfItsOwn = this.#position === 0;
    let empty = false;
    for (;;) {
      if (this.#match(SPACE) !== undefined) continue;
      const line = this.#match(COMMENT);
      if (line !== undefined) {
        if (onLineOfItsOwn) comment.push(line.replace(/^# ?/, '').trimEnd());
        empty = false;
      } else if (this.#match(LINE_END) !== undefined) {
        if (empty) comment = [];
        empty = true;
        onLineOfItsOwn = true;
      } else {
        return comment;
      }
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found !== undefined) this.#position += found.length;
    return found;
  }
}
