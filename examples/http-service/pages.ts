import type { IncomingMessage, ServerResponse } from 'node:http';

/** The longest time in which something is answered, in milliseconds. */
const SLOWEST = 3_600_000;

/** Answers requests, and keeps in mind what it has answered. */
export class Pages {
  readonly #cache = new Map<string, string>();

  constructor(
    /** How many requests were answered so far. */
    public served = 0,
  ) {}

  /** How many it keeps. */
  get cached(): number {
    return this.#cache.size;
  }

  /** Forgets what it can make again. */
  forget(): void {
    this.#cache.clear();
  }

  answer({ url = '/' }: IncomingMessage, response: ServerResponse): void {
    this.served++;
    const [path = '/', query] = url.split('?');
    if (path === '/pid') response.end(`${process.pid}\n`);
    else if (path === '/slow') answerSlowly(Number(new URLSearchParams(query).get('ms') ?? 1000), response);
    else if (path === '/') response.end(this.#page(path));
    else response.writeHead(404).end('there is no such page\n');
  }

  #page(path: string): string {
    const page = this.#cache.get(path) ?? `made at ${new Date().toISOString()}\n`;
    this.#cache.set(path, page);
    return page;
  }
}

function answerSlowly(milliseconds: number, response: ServerResponse): void {
  if (!(milliseconds >= 0 && milliseconds <= SLOWEST)) {
    response.writeHead(400).end(`ms must be a number from 0 to ${SLOWEST}\n`);
    return;
  }
  const timer = setTimeout(() => response.end(`after ${milliseconds} ms\n`), milliseconds);
  // A client that is gone is not waited for.
  response.once('close', () => clearTimeout(timer));
}
