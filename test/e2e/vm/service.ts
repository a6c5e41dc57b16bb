import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { Test } from 'tap';
import { programPath } from '../../support/program-path.js';
import { until, untilOr } from '../../support/until.js';
import { varlinkCall } from '../../support/varlink-call.js';
import { attempt, isEmulated, isNamed, run } from './machine.js';

const ownUnits = programPath('../../../../packages/daemon/systemd', import.meta.url);
const ownPrograms = programPath('../../../../packages/daemon/bin', import.meta.url);

const UNITS = '/etc/systemd/system';
const DROP_INS = `${UNITS}/systemd-nsresourced.service.d`;

export const API = 'io.systemd.NamespaceResource';
export const SERVICE = 'systemd-nsresourced.service';
export const SOCKET = 'systemd-nsresourced.socket';
export const SOCKET_PATH = '/run/systemd/io.systemd.NamespaceResource';
export const RUNTIME_DIRECTORY = '/run/systemd';
export const REGISTRY = `${RUNTIME_DIRECTORY}/nsresource/registry`;

/** Where our daemon has its BPF programs and maps, and systemd's since 262. */
export const PINS = '/sys/fs/bpf/systemd/userns-restrict-v2';

/** Where systemd's daemon had them before. */
export const FORMER_PINS = '/sys/fs/bpf/systemd/userns-restrict';

/** Who serves the API: systemd's own daemon, which proves the test, or ours. */
export type Provider = 'systemd' | 'sdrx';

/** What systemd's own unit has forgotten: without it no network is ever added. */
const NETWORK = 'CapabilityBoundingSet=CAP_NET_ADMIN\n';

/** An emulated machine on a busy host may hold a process up for minutes, of which systemd would take it for dead. */
const PATIENCE = 'WatchdogSec=30min\n';

/** Who serves, if nothing but calls was done to it; undefined once it is configured in another way. */
let serving: Provider | undefined;

/** How long a daemon may take to forget what was before, in milliseconds. */
const LIMIT = 5000;

/** How long the workers of one may take until they work in an emulated machine, in milliseconds. */
const START_LIMIT = 600_000;

/** Has a daemon serve that knows of nothing yet, its service being active. To start one takes an emulated machine long. */
export async function serve(provider: Provider): Promise<void> {
  if (serving === provider && (await isUnused())) {
    run('systemctl', 'start', SOCKET, SERVICE);
    return;
  }
  install(provider);
  run('systemctl', 'start', SOCKET, SERVICE);
  serving = provider;
}

/** Whether nothing is registered, or no more in a moment. */
async function isUnused(): Promise<boolean> {
  const isEmpty = () => String(readdirSync(REGISTRY)) === 'lock';
  const end = performance.now() + LIMIT;
  await until(() => isEmpty() || performance.now() > end, 100);
  return isEmpty();
}

/**
 * Puts the unit files in place, with nothing of what a daemon leaves.
 * @param settings more of them for the service
 * @param programs the folder of our programs
 */
export function install(provider: Provider, settings = '', programs = ownPrograms): void {
  stop();
  rmSync(`${RUNTIME_DIRECTORY}/nsresource`, { recursive: true, force: true });
  for (const folder of [PINS, `${PINS}-sdrx`, FORMER_PINS]) rmSync(folder, { recursive: true, force: true });
  putUnits(provider, settings, programs);
}

/** Has another daemon serve, with all that the one before has left. */
export function change(provider: Provider): void {
  stop();
  putUnits(provider, '', ownPrograms);
  run('systemctl', 'start', SOCKET, SERVICE);
}

function stop(): void {
  serving = undefined;
  // A systemd that has no such daemon knows the units by our files only.
  const { status, output } = attempt('systemctl', 'stop', SOCKET, SERVICE);
  if (status !== 0 && !/not loaded/.test(output)) throw new Error(output);
}

function putUnits(provider: Provider, settings: string, programs: string): void {
  rmSync(DROP_INS, { recursive: true, force: true });
  for (const file of readdirSync(ownUnits)) {
    if (provider === 'sdrx') copyFileSync(`${ownUnits}/${file}`, `${UNITS}/${file}`);
    else rmSync(`${UNITS}/${file}`, { force: true });
  }
  if (provider === 'sdrx') {
    const [nsresourced, nsresourcectl] = [`${programs}/nsresourced`, `${programs}/nsresourcectl`];
    for (const [name, target] of Object.entries({ node: process.execPath, nsresourced, nsresourcectl })) {
      rmSync(`/usr/local/bin/${name}`, { force: true });
      symlinkSync(target, `/usr/local/bin/${name}`);
    }
  }
  mkdirSync(DROP_INS, { recursive: true });
  writeFileSync(`${DROP_INS}/tests.conf`, `[Service]\n${provider === 'systemd' ? NETWORK : PATIENCE}${settings}`);
  run('systemctl', 'daemon-reload');
  // Where there is polkit, the first question would start it, for which an emulated machine takes longer than a call may.
  attempt('systemctl', 'start', 'polkit.service');
}

/** A copy of our programs that can be changed, in a folder that the sandbox shows. @returns the folder */
export function copyPrograms(): string {
  const folder = '/var/lib/nsresourced';
  rmSync(folder, { recursive: true, force: true });
  cpSync(ownPrograms, `${folder}/bin`, { recursive: true });
  symlinkSync(`${ownPrograms}/../node_modules`, `${folder}/node_modules`);
  return `${folder}/bin`;
}

/** A property of the service as its manager knows it. systemctl(1) show */
export function property(name: string, unit = SERVICE): string {
  return run('systemctl', 'show', '--value', `--property=${name}`, unit).trim();
}

/** Waits until the daemon's workers, and what each of them starts, are all there: an emulated machine has nothing to spare until then. */
export async function begun(): Promise<void> {
  const count = () =>
    readFileSync(`/sys/fs/cgroup${property('ControlGroup')}/cgroup.procs`, 'ascii')
      .trim()
      .split('\n').length;
  await untilOr(
    START_LIMIT,
    () => count() >= 11,
    () => `${count()} processes`,
    300,
  );
  if (isEmulated) await setTimeout(5000);
}

/** Whether calls are answered. */
export async function isServed(): Promise<boolean> {
  const parameters = { uid: 0, service: API };
  const { error } = await varlinkCall(SOCKET_PATH, 'io.systemd.UserDatabase.GetUserRecord', parameters);
  return error === 'io.systemd.UserDatabase.NoRecordFound';
}

const providers: readonly Provider[] = ['systemd', 'sdrx'];

/** A test with each daemon. */
interface SharedTest {
  readonly body: (t: Test, provider: Provider) => void | Promise<void>;
  /** Whether ours can't be tested without systemd's; of other tests that one only proves that they are right. */
  readonly compares?: boolean;
}

/** Those of all files, by their names. */
const shared = new Map<string, SharedTest>();

/** It takes an emulated machine minutes, and says nothing of ours. */
const unproven = {
  skip: 'systemd’s own daemon, which proves the test, is asked when the test is called for by its path',
};

/**
 * The same tests with systemd's daemon, and with ours. Those of all files come together, so that each daemon is started as seldom as
 * can be.
 */
export function withEach(t: Test, name: string, options: object, test: SharedTest | SharedTest['body']): void {
  shared.set(name, typeof test === 'function' ? { body: test } : test);
  if (shared.size > 1) return;
  for (const provider of providers) {
    t.test(`served by ${provider}`, options, async (t) => {
      await t.test('the socket activates it', async (t) => {
        install(provider);
        run('systemctl', 'start', SOCKET);
        t.equal(property('ActiveState'), 'inactive');
        t.ok(await isServed());
        t.equal(property('ActiveState'), 'active');
      });
      serving = provider;
      for (const [name, { body, compares = false }] of shared) {
        const isWanted = provider === 'sdrx' || compares || isNamed;
        await t.test(name, isWanted ? {} : unproven, async (t) => {
          await serve(provider);
          await body(t, provider);
        });
      }
    });
  }
}
