import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { Folder } from './folder.js';
import { end, type MessageBus } from './message-bus.js';
import { untilOr } from './until.js';

/** How long a question may take to get here, in milliseconds. */
const LIMIT = 60_000;

/** Answers as a file says, and prints what it is asked. By libdbus, which shares no code with ours. */
const PROGRAM = `
import json, os, sys
import dbus, dbus.bus, dbus.lowlevel
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

bus = dbus.bus.BusConnection(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], mainloop=DBusGMainLoop())

def process_of(fd):
    with open('/proc/self/fdinfo/%d' % fd) as info:
        return next(int(line.split()[1]) for line in info if line.startswith('Pid:'))

def plain(value):
    if isinstance(value, dbus.types.UnixFd):
        fd = value.take()
        try: return process_of(fd)
        finally: os.close(fd)
    return value

def say(**words):
    print(json.dumps(words), flush=True)

def answer(message):
    mode, *words = open(sys.argv[1]).read().split(' ', 2)
    if mode == 'never': return
    if mode == 'exit': os._exit(0)
    if mode == 'error':
        reply = dbus.lowlevel.ErrorMessage(message, words[0], words[1])
    elif mode == 'text':
        reply = dbus.lowlevel.MethodReturnMessage(message)
        reply.append('yes', signature='s')
    elif mode == 'nothing':
        reply = dbus.lowlevel.MethodReturnMessage(message)
    else:
        if mode == 'noise':
            for size in (10, 70000, 1000000):
                noise = dbus.lowlevel.SignalMessage('/', 'org.example.Noise', 'Noise')
                noise.append('x' * size, signature='s')
                noise.set_destination(message.get_sender())
                bus.send_message(noise)
        reply = dbus.lowlevel.MethodReturnMessage(message)
        result = (mode in ('yes', 'noise'), mode == 'challenge', {'polkit.result': mode})
        reply.append(result, signature='(bba{ss})')
    bus.send_message(reply)

def filter(connection, message):
    if message.get_type() != 1 or message.get_interface() != 'org.freedesktop.PolicyKit1.Authority':
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
    arguments = message.get_args_list()
    if message.get_member() == 'CheckAuthorization':
        (kind, subject), action, details, flags, cancellation = arguments
        subject = {key: plain(value) for key, value in subject.items()}
        say(member='CheckAuthorization', kind=kind, subject=subject, action=action, details=details, flags=flags,
            cancellation=cancellation)
        answer(message)
    else:
        say(member=message.get_member(), cancellation=arguments[0], reply=not message.get_no_reply())
    return dbus.lowlevel.HANDLER_RESULT_HANDLED

bus.add_message_filter(filter)
bus.request_name('org.freedesktop.PolicyKit1')
say(member='ready')
GLib.MainLoop().run()
`;

/** A question to polkit, or that it is not to be answered any more. */
export interface PolkitCall {
  readonly member: string;
  readonly kind?: string;
  readonly subject?: Readonly<Record<string, number>>;
  readonly action?: string;
  readonly details?: Readonly<Record<string, string>>;
  readonly flags?: number;
  readonly cancellation?: string;
  readonly reply?: boolean;
}

/**
 * How it answers: `yes`, `no`, `challenge` (after an authentication), `noise` (yes, after messages that nobody asked for), `never`,
 * `exit` (it ends), `text` and `nothing` (not as it should), or `error NAME TEXT`.
 */
export type PolkitAnswer =
  | 'yes'
  | 'no'
  | 'challenge'
  | 'noise'
  | 'never'
  | 'exit'
  | 'text'
  | 'nothing'
  | `error ${string} ${string}`;

/** A process that is polkit on a bus, and answers as it is told to. It ends with its test. */
export class FakePolkit {
  readonly #folder = new Folder();
  readonly #bus: MessageBus;
  #process: ChildProcess | undefined;

  /** What it was asked so far. */
  readonly calls: PolkitCall[] = [];

  private constructor(bus: MessageBus) {
    this.#bus = bus;
  }

  static async start(t: Test, bus: MessageBus): Promise<FakePolkit> {
    const polkit = new FakePolkit(bus);
    t.teardown(async () => {
      await end(polkit.#process);
      polkit.#folder[Symbol.dispose]();
    });
    await polkit.start();
    return polkit;
  }

  /** Starts it, anew if it was started before. */
  async start(): Promise<void> {
    await end(this.#process);
    this.answer('yes');
    const child = spawn('/usr/bin/python3', ['-c', PROGRAM, this.#folder.join('answer')], {
      env: { PATH: process.env.PATH, ...this.#bus.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    createInterface(child.stdout).on('line', (line) => this.calls.push(JSON.parse(line)));
    const count = () => this.calls.filter(({ member }) => member === 'ready').length;
    const before = count();
    await this.#until(() => count() > before, 'it did not start');
    this.calls.length = 0;
  }

  /** Has it answer so from now on. */
  answer(how: PolkitAnswer): void {
    writeFileSync(this.#folder.join('answer'), how);
  }

  /** Waits until it was asked so many things, and forgets them. */
  async taken(count: number): Promise<PolkitCall[]> {
    await this.#until(() => this.calls.length >= count, `it was not asked ${count} times`);
    return this.calls.splice(0);
  }

  #until(condition: () => boolean, complaint: string): Promise<void> {
    return untilOr(LIMIT, condition, () => `${complaint}: ${JSON.stringify(this.calls)}`);
  }
}
