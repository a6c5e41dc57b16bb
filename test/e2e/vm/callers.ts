import { setTimeout } from 'node:timers/promises';
import { connect, isSystemError, ReceiveBuffer, sendMessage, unixSocket } from '@sdrx/linux';
import { readable } from '../../support/readable.js';
import { varlinkCall } from '../../support/varlink-call.js';
import { API, SOCKET_PATH } from './service.js';

const METHOD = 'io.systemd.UserDatabase.GetUserRecord';
const PARAMETERS = { uid: 0, service: API };
const MESSAGE = Buffer.from(`${JSON.stringify({ method: METHOD, parameters: PARAMETERS })}\0`);

/** Between two calls of a client, in milliseconds: an emulated machine has little to give. */
const PAUSE = 20;

/** Clients within this process that call the service again and again, over a connection for each call, and over kept ones. */
export class Callers {
  calls = 0;
  /** Why calls that were taken had no answer, or no right one. */
  readonly lost: string[] = [];
  #isOver = false;
  readonly #callers: readonly Promise<void>[];

  constructor() {
    this.#callers = [this.#callShort(), this.#callKept()];
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#callers);
  }

  async #callShort(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#answered((await varlinkCall(SOCKET_PATH, METHOD, PARAMETERS)).error);
      } catch (error) {
        this.lost.push(String(error));
      }
    }
  }

  async #callKept(): Promise<void> {
    while (!this.#isOver) {
      using socket = unixSocket();
      connect(socket.number, SOCKET_PATH);
      try {
        for (let isFirst = true; !this.#isOver && send(socket.number, isFirst); isFirst = false) {
          await this.#answered(await receive(socket.number));
        }
      } catch (error) {
        this.lost.push(String(error));
      }
    }
  }

  async #answered(error: string | undefined): Promise<void> {
    this.calls++;
    if (error !== 'io.systemd.UserDatabase.NoRecordFound') this.lost.push(String(error));
    await setTimeout(PAUSE);
  }
}

/** @returns false if the connection is over, and another one is to be made */
function send(socket: number, isFirst: boolean): boolean {
  try {
    sendMessage(socket, MESSAGE);
    return true;
  } catch (error) {
    if (isFirst || !isSystemError(error, 'EPIPE')) throw error;
    return false;
  }
}

async function receive(socket: number): Promise<string | undefined> {
  const buffer = new ReceiveBuffer(4096);
  for (let text = ''; ; ) {
    await readable(socket);
    const count = buffer.receive(socket, []);
    if (count === 0) throw new Error('connection closed without a reply');
    text += buffer.bytes.toString('utf8', 0, count);
    if (text.endsWith('\0')) return JSON.parse(text.slice(0, -1)).error;
  }
}
