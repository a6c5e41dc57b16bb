import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { Folder } from './folder.js';
import { inNetwork } from './in-network.js';
import { killed } from './killed.js';
import { Network } from './network.js';
import { needsRoot } from './privileges.js';
import { untilOr } from './until.js';

/** A real MQTT broker and its clients, unpacked; `npm test` does so. */
const folder = process.env.SDRX_MOSQUITTO ?? '';

/** Options for a test that needs them. */
export const needsMosquitto =
  folder === '' ? { skip: 'SDRX_MOSQUITTO names no folder with mosquitto: npm test unpacks one as root' } : needsRoot;

/** The longest that they may take for anything, in milliseconds. */
const LIMIT = 60_000;

/** Debian's broker, in a network of its own where it has the usual port, and at a Unix socket. */
export class Mosquitto {
  readonly network = new Network();
  /** The path of its Unix socket. */
  readonly path: string;
  /** What it has logged. */
  log = '';
  readonly #child: ChildProcess;

  private constructor(t: Test, configuration: string) {
    const own = new Folder();
    this.path = own.join('socket');
    writeFileSync(
      own.join('configuration'),
      `user root\nlistener 1883\nlistener 0 ${this.path}\nallow_anonymous true\n${configuration}\n`,
    );
    this.network.run((links) => links.setUp('lo'));
    this.#child = this.run(() =>
      spawn(`${folder}/usr/sbin/mosquitto`, ['-v', '-c', own.join('configuration')], {
        env: environment(),
        stdio: ['ignore', 'ignore', 'pipe'],
      }),
    );
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
    });
    t.teardown(async () => {
      await killed(this.#child);
      this.network[Symbol.dispose]();
      own[Symbol.dispose]();
    });
  }

  /** Starts one, and waits until it serves. @param configuration more lines of mosquitto.conf(5) */
  static async start(t: Test, configuration = ''): Promise<Mosquitto> {
    const broker = new Mosquitto(t, configuration);
    await broker.logs(/ running$/m);
    return broker;
  }

  /** Runs `body` where its port can be reached. */
  run<T>(body: () => T): T {
    return inNetwork(this.network.fd.number, body);
  }

  /** Waits until it has logged something. */
  async logs(pattern: RegExp): Promise<void> {
    await untilOr(
      LIMIT,
      () => pattern.test(this.log),
      () => `${pattern} is not what it logs:\n${this.log}`,
    );
  }

  /** Publishes, by its own client. mosquitto_pub(1) */
  publish(topic: string, payload: string | Buffer, ...options: readonly string[]): void {
    const args = ['--unix', this.path, '-t', topic, payload.length === 0 ? '-n' : '-s', ...options];
    execFileSync(`${folder}/usr/bin/mosquitto_pub`, args, { env: environment(), input: payload, timeout: LIMIT });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** The libraries may be unpacked beside the programs. */
function environment(): NodeJS.ProcessEnv {
  if (folder === '/') return process.env;
  const libraries = readdirSync(`${folder}/usr/lib`).map((name) => `${folder}/usr/lib/${name}`);
  return { ...process.env, LD_LIBRARY_PATH: libraries.join(':') };
}
