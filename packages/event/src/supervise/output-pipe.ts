import type { Subscription } from 'rxjs';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';
import { type Line, LineDecoder, type LineOptions } from './line-decoder.js';
import type { PipeEnd, ProgramSystem } from './program-system.js';

/** How much is read at a time, in bytes: what a pipe holds by default. */
const READ_SIZE = 65_536;

/** The most that a pipe holds, in bytes, unless a privileged process made it larger. pipe(7), /proc/sys/fs/pipe-max-size */
const LARGEST_PIPE = 1_048_576;

/** Of all pipes: what was read is text before another one is read. */
const buffer = Buffer.allocUnsafeSlow(READ_SIZE);

/** Who is told what a pipe brings. */
interface OutputReader {
  line(line: Line): void;
  /** Nobody has it open for writing any more. */
  ended(): void;
  failed(error: unknown): void;
}

/** What a program writes to, and the lines that come of it. */
export class OutputPipe implements Disposable {
  readonly #loop: EventLoop;
  readonly #system: ProgramSystem;
  readonly #reader: OutputReader;
  readonly #options: SourceOptions;
  readonly #decoder: LineDecoder;
  readonly #ours: PipeEnd;
  readonly #theirs: PipeEnd;
  /** Lines that are there, and how many of them were told. Whoever is told one may end it all, which tells the others first. */
  #lines: Line[] = [];
  #told = 0;
  #subscription: Subscription | undefined;

  /** @throws EMFILE, ENFILE */
  constructor(
    loop: EventLoop,
    system: ProgramSystem,
    reader: OutputReader,
    lines: LineOptions,
    options: SourceOptions,
  ) {
    this.#loop = loop;
    this.#system = system;
    this.#reader = reader;
    this.#options = options;
    this.#decoder = new LineDecoder(lines);
    [this.#ours, this.#theirs] = system.pipe();
  }

  /** What the program gets a copy of. */
  get writingEnd(): number {
    return this.#theirs.number;
  }

  /** Whether there may be more to read. */
  get open(): boolean {
    return this.#ours.number >= 0;
  }

  /** The program has its copy, or will never have one. */
  started(): void {
    this.#theirs.close();
  }

  /** Reads what comes, or leaves it in the pipe. */
  listen(on: boolean): void {
    if (!on || !this.open) {
      this.#subscription?.unsubscribe();
      this.#subscription = undefined;
    } else {
      this.#subscription ??= this.#loop.io(this.#ours.number, this.#options).subscribe({
        next: () => this.#read(),
        error: (error) => this.#reader.failed(error),
      });
    }
  }

  /** Reads what is in there, if nobody else fills it meanwhile. */
  drain(): void {
    for (let size = 0; size < LARGEST_PIPE; size += READ_SIZE) if (this.#read() === 0) return;
  }

  /** There will be no more: what has come of the last line is that line. */
  finish(): void {
    if (!this.open) return;
    this[Symbol.dispose]();
    this.#tell(this.#decoder.end());
  }

  [Symbol.dispose](): void {
    this.listen(false);
    this.#ours.close();
    this.#theirs.close();
  }

  /** Takes the lines over. */
  #tell(lines: Line[]): void {
    if (this.#lines.length === 0) this.#lines = lines;
    else this.#lines.push(...lines);
    while (this.#told < this.#lines.length) this.#reader.line(this.#lines[this.#told++] as Line);
    this.#lines = [];
    this.#told = 0;
  }

  /** @returns how many bytes */
  #read(): number {
    if (!this.open) return 0;
    let count: number | undefined;
    try {
      count = this.#system.read(this.#ours.number, buffer);
    } catch (error) {
      this.#reader.failed(error);
      return 0;
    }
    if (count === undefined) return 0;
    if (count > 0) {
      this.#tell(this.#decoder.decode(buffer.subarray(0, count)));
    } else {
      this.finish();
      this.#reader.ended();
    }
    return count;
  }
}
