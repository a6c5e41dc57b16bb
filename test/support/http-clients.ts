import { Agent, type AgentOptions, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';

/** Where an HTTP server is: a port of 127.0.0.1, or the path of a Unix socket. */
export type HttpPlace = { readonly port: number } | { readonly socketPath: string };

const KEPT: AgentOptions = { keepAlive: true, maxSockets: 1 };

/** A connection that was kept ended as it was asked for something more: HTTP has no means against that, and clients ask again. */
export class KeptConnectionError extends Error {}

/** Asks for something, and takes the answer whole. Rejects when none comes. */
export function ask(place: HttpPlace, path: string, agent: Agent | false = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', ...place, path, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: ${response.statusCode} ${text}`)),
      );
    });
    asked.on('error', (error) => reject(asked.reusedSocket ? new KeptConnectionError(error.message) : error));
    asked.end();
  });
}

/** What clients ask for, in turns. */
const PATHS = ['/pid', '/', '/slow?ms=20'];

/** Clients that ask again and again, some on connections that they keep, some on one for each request. */
export class HttpClients {
  /** What was asked for and not answered, and why. */
  readonly failures: string[] = [];
  /** The same on connections that were kept. */
  readonly failuresOfKept: string[] = [];
  answered = 0;
  /** The longest that one had to wait, in milliseconds. */
  longest = 0;
  readonly #agents: Agent[] = [];
  readonly #ended: Promise<void>[] = [];
  #stopped = false;

  /** @param pause between two requests of a client, in milliseconds, which leaves the others and the service their share */
  constructor(
    places: readonly HttpPlace[],
    readonly pause = 5,
  ) {
    for (const place of places) {
      for (const kept of [true, true, false, false]) {
        const agent = kept && new Agent(KEPT);
        if (agent) this.#agents.push(agent);
        this.#ended.push(this.#askOn(place, agent));
      }
    }
  }

  /** Waits for the last answers, and hangs up. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#ended);
    for (const agent of this.#agents) agent.destroy();
  }

  async #askOn(place: HttpPlace, agent: Agent | false): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      const path = PATHS[turn % PATHS.length] ?? '/';
      const begin = performance.now();
      try {
        await ask(place, path, agent);
        this.answered++;
      } catch (error) {
        const how = agent ? 'kept' : 'new';
        const failures = error instanceof KeptConnectionError ? this.failuresOfKept : this.failures;
        failures.push(`${path} on a ${how} connection of ${JSON.stringify(place)}: ${error}`);
      }
      this.longest = Math.max(this.longest, performance.now() - begin);
      await setTimeout(this.pause);
    }
  }
}
