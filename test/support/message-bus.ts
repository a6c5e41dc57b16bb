import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { Folder } from './folder.js';

/** As that of the system's bus on Debian: only root has names and is called by whoever it likes, anybody may send signals. */
const POLICY = `
<policy context="default">
  <allow user="*"/>
  <deny own="*"/>
  <deny send_type="method_call"/>
  <allow send_type="signal"/>
  <allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/>
  <allow receive_type="method_return"/>
  <allow receive_type="error"/>
  <allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus"/>
</policy>
<policy user="root"><allow own="*"/><allow send_destination="*"/></policy>
<policy user="polkitd"><allow own="org.freedesktop.PolicyKit1"/><allow send_destination="*"/></policy>
`;

/** A message bus of a test's own, a dbus-daemon(1), which ends with the test. */
export class MessageBus {
  readonly #folder = new Folder();
  #process: ChildProcess | undefined;

  /** Where it is to be. */
  readonly path = this.#folder.join('bus');

  /** What has programs use it instead of the system's. */
  readonly environment = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${this.path}` };

  static async start(t: Test): Promise<MessageBus> {
    const bus = new MessageBus();
    // Services on it may be of other users.
    chmodSync(bus.#folder.path, 0o755);
    t.teardown(async () => {
      await bus.stop();
      bus.#folder[Symbol.dispose]();
    });
    await bus.start();
    return bus;
  }

  /** Starts it, anew if it was stopped. */
  async start(): Promise<void> {
    const config = this.#folder.join('bus.conf');
    writeFileSync(
      config,
      `<busconfig><type>system</type><listen>unix:path=${this.path}</listen><auth>EXTERNAL</auth>${POLICY}</busconfig>`,
    );
    const args = [`--config-file=${config}`, '--nofork', '--nopidfile', '--print-address=1'];
    // It complains where it may have no more descriptors than others.
    this.#process = spawn('dbus-daemon', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    await firstLine(this.#process);
  }

  kill(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  async stop(): Promise<void> {
    await end(this.#process);
    this.#process = undefined;
  }
}

/** Waits until a program says something. */
export async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error('its output is not read');
  for await (const line of createInterface(stdout)) return line;
  throw new Error('it has ended without a word');
}

/** Kills a process, if it runs still, and waits for its end. */
export async function end(child: ChildProcess | undefined): Promise<void> {
  // What nobody reads any more would keep us from ending.
  child?.stdout?.destroy();
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
