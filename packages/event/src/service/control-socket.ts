import { connect, createServer, type Socket } from 'node:net';
import { checkFunction, checkInstance, checkObject, checkText, Fd, isSystemError } from '@sdrx/linux';
import { checkEnding } from './check-ending.js';
import { messageOf } from './message-of.js';
import { oneLine } from './one-line.js';
import type { Ending } from './scope.js';
import { ServedConnections } from './served-connections.js';
import type { Serving } from './serving.js';

/** The longest command, in bytes. */
const LONGEST = 1024;

/** How long a client may take to say what it wants, in milliseconds. */
const PATIENCE = 10_000;

/** The same at the end of the service. */
const LAST_COMMAND = 1000;

/** What a service does for whoever may connect to its control socket, by the words that are sent; the answer is one line. */
export type ControlCommands = Readonly<Record<string, () => string | Promise<string>>>;

/** What a service answered to a command, if it did not do it. */
export class ControlError extends Error {
  /** The class's. */
  override readonly name = 'ControlError';
}

/**
 * Serves commands at a listening socket: a client sends a word and a line break, or ends its side, and gets `ok …` when it is done,
 * or `error …`. One connection is for one command.
 */
export class ControlSocket implements Serving {
  readonly #commands: ControlCommands;
  readonly #connections: ServedConnections;
  /** Those that have sent their command. */
  readonly #answered = new WeakSet<Socket>();
  readonly count: Serving['count'];

  /** @param fd the listening socket, which stays the caller's */
  constructor(fd: Fd, commands: ControlCommands) {
    checkInstance('fd', fd, Fd);
    checkObject('commands', commands);
    for (const [name, command] of Object.entries(commands)) checkFunction(`commands.${name}`, command);
    this.#commands = commands;
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    // At an end who has said nothing yet has little time left, as the command may be on its way.
    const connection = (socket: Socket) => {
      if (!this.#answered.has(socket)) socket.setTimeout(LAST_COMMAND);
    };
    this.#connections = new ServedConnections(server, { connection }).listen(fd);
    this.count = this.#connections.count;
  }

  get waiting(): boolean {
    return this.#connections.waiting;
  }

  resume(): void {
    this.#connections.resume();
  }

  pause(): void {
    this.#connections.pause();
  }

  async drain(ending: Ending): Promise<void> {
    checkEnding(ending);
    return this.#connections.drain(ending);
  }

  #serve(socket: Socket): void {
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(PATIENCE, () => socket.destroy());
    // A client that is gone before its answer is nobody's fault.
    socket.on('error', () => socket.destroy());
    const obey = async (command: string) => {
      if (this.#answered.has(socket)) return;
      this.#answered.add(socket);
      socket.removeAllListeners('data').resume().setTimeout(0);
      const answer = await this.#answer(command);
      socket.end(`${oneLine(answer)}\n`);
    };
    socket.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end !== -1) void obey(text.slice(0, end));
      else if (text.length > LONGEST) void obey(text.slice(0, LONGEST));
    });
    socket.on('end', () => {
      if (text === '') socket.end();
      else void obey(text);
    });
  }

  async #answer(name: string): Promise<string> {
    const command = Object.hasOwn(this.#commands, name) ? this.#commands[name] : undefined;
    if (command === undefined) return `error no command '${name}': there are ${Object.keys(this.#commands).join(', ')}`;
    try {
      return `ok ${await command()}`;
    } catch (error) {
      return `error ${messageOf(error)}`;
    }
  }
}

/**
 * Sends a command to the control socket of a service, and waits for its outcome, however long that takes.
 * @returns what the service says of it
 * Rejects with ControlError when the service has not done it, or ends without an answer, and with ENOENT, ECONNREFUSED, EACCES.
 */
export async function askService(path: string, command: string): Promise<string> {
  checkText('path', path);
  checkText('command', command);
  // An abstract name has a NUL in Node's form.
  const socket = connect({ path: path.startsWith('@') ? `\0${path.slice(1)}` : path });
  socket.setEncoding('utf8');
  socket.write(`${command}\n`);
  let answer = '';
  try {
    for await (const chunk of socket) answer += chunk as string;
  } catch (error) {
    // It was killed, and has not even read the command.
    if (!isSystemError(error, 'ECONNRESET', 'EPIPE')) throw error;
  }
  const [, how, what = ''] = /^(ok|error) ?(.*)\n$/.exec(answer) ?? [];
  if (how === 'ok') return what;
  throw new ControlError(how === undefined ? 'the service has ended without an answer' : what);
}
