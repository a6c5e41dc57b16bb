import { existsSync, rmSync } from 'node:fs';
import { BpfMap } from '@sdrx/bpf';
import { attempt, run } from '../../e2e/vm/machine.js';
import { systemdRelease } from '../../support/systemd-release.js';
import { untilOr } from '../../support/until.js';
import { initial } from './facts.js';
import { describe, type Outcome } from './matrix.js';

const PINS = '/sys/fs/bpf/systemd/userns-restrict-v2';
const UNITS = ['systemd-nsresourced.socket', 'systemd-nsresourced.service'];

/** The first release whose rule is ours. */
const RELEASE = 262;

/** To load its programs takes an emulated machine long. In milliseconds. */
const LIMIT = 180_000;

/** Why systemd's own programs can't be tried; undefined if they can. */
export function whyNoSystemd(): string | undefined {
  const release = systemdRelease();
  if (release < RELEASE) return `systemd's rule is another before ${RELEASE}, this is ${release}`;
  const { status, output } = attempt('systemctl', 'cat', 'systemd-nsresourced.service');
  return status === 0 ? undefined : output.trim();
}

/** systemd's own daemon, whose programs are in the kernel until it is disposed of. */
export class SystemdPrograms implements Disposable {
  /** Starts it. */
  static async start(): Promise<SystemdPrograms> {
    const programs = new SystemdPrograms();
    run('systemctl', 'start', '--no-block', ...UNITS);
    const isAttached = () => existsSync(`${PINS}/programs/task_fix_setgroups`);
    const state = () => attempt('systemctl', 'status', '--no-pager', '--lines=30', ...UNITS).output;
    await untilOr(LIMIT, isAttached, state, 200);
    // It attaches them one after the other, and accepts calls when it is done.
    await untilOr(LIMIT, () => attempt('systemctl', 'is-active', ...UNITS).status === 0, state, 200);
    return programs;
  }

  /** Registers namespaces with the programs alone: the daemon knows nothing of them. */
  register(inodes: readonly number[], denied: readonly number[]): void {
    this.#put('userns_managed', inodes);
    this.#put('userns_setgroups_deny', denied);
  }

  #put(name: string, inodes: readonly number[]): void {
    using map = BpfMap.openPinned(`${PINS}/maps/${name}`);
    for (const inode of inodes) {
      const key = Buffer.alloc(4);
      key.writeUInt32LE(inode);
      map.set(key, Buffer.alloc(4, 1));
    }
  }

  [Symbol.dispose](): void {
    attempt('systemctl', 'stop', ...UNITS);
    rmSync('/sys/fs/bpf/systemd', { recursive: true, force: true });
  }
}

/** Where ours is meant to be another. */
const DIFFERENCES: readonly { readonly reason: string; readonly applies: (outcome: Outcome) => boolean }[] = [
  {
    reason: 'systemd judges an overlay when it is mounted only, and one was before the namespace was registered',
    applies: ({ mount }) => mount.upper !== undefined,
  },
  {
    reason: 'systemd has a namespace make no control group below one that it was given',
    applies: ({ mount }) => mount.fileSystem === 'cgroup',
  },
  {
    reason: 'systemd lets files without a name be made, which somebody else may give one',
    applies: ({ attempt }) => attempt.name === 'tmpfile' || attempt.name === 'tmpfile-passed',
  },
  {
    reason: 'systemd lets a rename leave a whiteout, which is a device of who renames',
    applies: ({ attempt }) => attempt.needs === 'a whiteout' && attempt.name.startsWith('rename'),
  },
  {
    reason: "systemd takes ids for those inside another namespace's file system, where no mount maps them: they stay",
    applies: ({ mount, attempt }) => attempt.meets === 'create' && mount.superblock !== initial && !mount.idmap,
  },
];

/** Compares systemd's outcomes with ours. @returns the differences that nothing explains, and how many each reason does */
export function compare(ours: readonly Outcome[], theirs: readonly Outcome[]): [string[], Map<string, number>] {
  const unexplained: string[] = [];
  const explained = new Map<string, number>();
  ours.forEach((outcome, index) => {
    const their = theirs[index]?.result ?? 'nothing';
    if (their === outcome.result) return;
    const reason = DIFFERENCES.find(({ applies }) => applies(outcome))?.reason;
    if (reason !== undefined) explained.set(reason, (explained.get(reason) ?? 0) + 1);
    else unexplained.push(`${describe(outcome)}: ${their} by systemd's, ${outcome.result} by ours`);
  });
  return [unexplained, explained];
}
