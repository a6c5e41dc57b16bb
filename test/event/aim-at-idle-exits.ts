import { connect, type NetConnectOpts } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { listenInet, listenUnix } from '@sdrx/event';
import { Folder } from '../support/folder.js';
import { Activator } from './activator.js';

/** How long a service waits until it leaves at most, in milliseconds; a client as long until it connects. */
const LONGEST = 3;

/** How long an answer may take, in milliseconds. */
const PATIENCE = 60_000;

/** What came of many tries. */
export interface Aimed {
  /** What clients got in place of an answer. */
  readonly lost: readonly string[];
  readonly lives: number;
  /** How many clients connected when the service had decided to leave and was not known to be gone. */
  readonly metLeaving: number;
  /** How often a service stayed since somebody waited when it had paused. */
  readonly stays: number;
}

/** Connects so many times, each time about when the service leaves that answered before. */
export async function aimAtIdleExits(tries: number, how: 'once' | 'often', family: 'unix' | 'tcp'): Promise<Aimed> {
  using folder = new Folder();
  using socket = family === 'unix' ? listenUnix(folder.join('socket')) : listenInet('127.0.0.1', 0);
  const { address } = socket;
  const to = address.family === 'inet' ? { host: address.host, port: address.port } : { path: folder.join('socket') };
  const activator = new Activator(socket.fd, how, LONGEST);
  const { connected, lost } = await askOften(tries, to, LONGEST);
  await activator.stop();
  const { lives } = activator;
  const metLeaving = connected.filter((at) => lives.some(({ paused, over }) => paused <= at && at <= over)).length;
  return { lost, lives: lives.length, metLeaving, stays: lives.reduce((sum, { stays }) => sum + stays, 0) };
}

/** What clients got in place of an answer, and when they connected, by the monotonic clock, in milliseconds. */
export interface Asked {
  readonly lost: readonly string[];
  readonly connected: readonly number[];
}

/** Asks so many times, each a random time of up to `longest` milliseconds after the last answer. */
export async function askOften(tries: number, to: NetConnectOpts, longest: number): Promise<Asked> {
  const connected: number[] = [];
  const lost: string[] = [];
  for (let count = 0; count < tries; count++) {
    await passTime(Math.random() * longest);
    connected.push(now());
    const answer = await ask(to);
    if (!/^HTTP\/1.1 200 [\s\S]*done$/.test(answer)) lost.push(answer);
  }
  return { lost, connected };
}

function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Without a timer: those of Node are a millisecond apart. */
async function passTime(milliseconds: number): Promise<void> {
  const end = now() + milliseconds;
  while (now() < end) await setImmediate();
}

function ask(to: NetConnectOpts): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(to);
    socket.setEncoding('latin1').setTimeout(PATIENCE, () => socket.destroy(new Error('no answer')));
    socket.on('data', (data: string) => (text += data));
    socket.on('error', ({ message }) => (text += message));
    socket.on('close', () => resolve(text));
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  });
}
