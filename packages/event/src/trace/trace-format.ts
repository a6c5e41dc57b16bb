import { nameOf } from '../core/name-of.js';
import type { Dispatch } from './trace.js';

/** How many sources are remembered by what is written of each of their dispatches. */
const MOST_REMEMBERED = 1000;

/** What each dispatch of a source has in common, as JSON. */
interface SourceText {
  /** Its name and category. */
  readonly names: string;
  /** Its kind and description. */
  readonly own: string;
  /** The name of what it waits. */
  readonly wait: string;
}

/**
 * A trace as text, in the JSON array format that Perfetto and Chrome's tracing read: a line an event, times in microseconds. Each
 * priority is a lane, that is, a thread of the format. What a source waits is an event beside its handler's, as it may overlap with
 * others.
 *
 * The array may lack its end, as the format allows: what a process that was killed has left can be read.
 */
export class TraceWriter {
  readonly #pid: number;
  /** The lane of each priority, by number: the format's may not be negative. */
  readonly #lanes = new Map<number, number>();
  /** By kind and description. To make them anew for each dispatch would take longer than all else. */
  readonly #sources = new Map<string, SourceText>();
  #waits = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** How a trace begins. */
  head(): string {
    return `[\n${this.#metadata('process_name', 0, { name: `sdrx ${this.#pid}` })}`;
  }

  /** What a dispatch adds. */
  dispatch(dispatch: Dispatch): string {
    const { priority, iteration, pending, begin, end } = dispatch;
    const { names, own, wait } = this.#source(dispatch);
    const since = microseconds(pending);
    const from = microseconds(begin);
    let text = '';
    let lane = this.#lanes.get(priority);
    if (lane === undefined) {
      lane = this.#lanes.size + 1;
      this.#lanes.set(priority, lane);
      text += `,\n${this.#metadata('thread_name', lane, { name: `priority ${priority}` })}`;
      text += `,\n${this.#metadata('thread_sort_index', lane, { sort_index: priority })}`;
    }
    const place = `"pid":${this.#pid},"tid":${lane}`;
    if (from > since) {
      const head = `,\n{"name":${wait},"cat":"wait","id":${++this.#waits},${place}`;
      text += `${head},"ph":"b","ts":${since}}${head},"ph":"e","ts":${from}}`;
    }
    const times = `"ts":${from},"dur":${microseconds(end - begin)}`;
    const args = `{${own},"priority":${priority},"iteration":${iteration},"pending":${since}}`;
    return `${text},\n{${names},"ph":"X",${times},${place},"args":${args}}`;
  }

  /** How a trace ends. */
  tail(): string {
    return '\n]\n';
  }

  #source({ kind, description }: Dispatch): SourceText {
    const key = description === undefined ? kind : `${kind}\0${description}`;
    let source = this.#sources.get(key);
    if (source === undefined) {
      const name = nameOf({ kind, description });
      source = {
        names: membersOf({ name, cat: kind }),
        own: membersOf({ kind, description }),
        wait: JSON.stringify(`${name} waits`),
      };
      if (this.#sources.size >= MOST_REMEMBERED) this.#sources.clear();
      this.#sources.set(key, source);
    }
    return source;
  }

  #metadata(name: string, tid: number, args: Readonly<Record<string, string | number>>): string {
    return JSON.stringify({ name, ph: 'M', pid: this.#pid, tid, args });
  }
}

/** The members of an object as JSON, without its braces. */
function membersOf(object: Readonly<Record<string, string | undefined>>): string {
  return JSON.stringify(object).slice(1, -1);
}

/** Whole nanoseconds, since more digits than those are noise. */
function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6) / 1e3;
}

/** A file that holds no trace of a loop. */
export class TraceFormatError extends Error {
  override readonly name = 'TraceFormatError';
}

/**
 * The dispatches in lines of a trace, in their order; a last line that was cut off counts for nothing.
 * @throws TraceFormatError for lines that are none of a trace, with the number of the line
 */
export async function readTrace(lines: AsyncIterable<string> | Iterable<string>): Promise<Dispatch[]> {
  const dispatches: Dispatch[] = [];
  let number = 0;
  let bad: TraceFormatError | undefined;
  for await (const line of lines) {
    // It was not the last.
    if (bad !== undefined) throw bad;
    number++;
    if (number === 1 && line.trim() !== '[')
      throw new TraceFormatError('line 1 is not the begin of a trace, a [ alone');
    if (line.trim() === '' || line === '[' || line === ']') continue;
    try {
      const dispatch = dispatchIn(JSON.parse(line.replace(/,\s*$/, '')));
      if (dispatch !== undefined) dispatches.push(dispatch);
    } catch (error) {
      bad = new TraceFormatError(`line ${number} is no event of a trace: ${(error as Error).message}`);
    }
  }
  if (number === 0) throw new TraceFormatError('it is empty');
  if (bad !== undefined && number === 2) throw bad;
  return dispatches;
}

/** @returns undefined for an event that is no dispatch @throws TraceFormatError */
function dispatchIn(event: unknown): Dispatch | undefined {
  if (!isRecord(event)) throw new TraceFormatError('it is no object');
  if (event.ph !== 'X') return undefined;
  const { args } = event;
  if (!isRecord(args)) throw new TraceFormatError('it has no args');
  const begin = milliseconds(event, 'ts');
  return {
    kind: text(args, 'kind'),
    description: args.description === undefined ? undefined : text(args, 'description'),
    priority: number(args, 'priority'),
    iteration: number(args, 'iteration'),
    pending: milliseconds(args, 'pending'),
    begin,
    end: begin + milliseconds(event, 'dur'),
  };
}

type JsonRecord = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null;
}

function text(record: JsonRecord, name: string): string {
  const value = record[name];
  if (typeof value !== 'string') throw new TraceFormatError(`${name} is no text`);
  return value;
}

function number(record: JsonRecord, name: string): number {
  const value = record[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TraceFormatError(`${name} is no number`);
  return value;
}

function milliseconds(record: JsonRecord, name: string): number {
  return number(record, name) / 1e3;
}
