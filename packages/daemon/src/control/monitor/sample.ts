import { readFileSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { connect, varlinkService } from '@sdrx/varlink';
import { Ledger } from '../../limits/ledger.js';
import type { Condition } from '../../limits/ledger-format.js';
import { socketPath } from '../../program/runtime-directory.js';
import type { Registry } from '../../registry/registry.js';
import { readRegistry } from '../../registry/registry-report.js';
import { readManager } from '../manager-processes.js';
import { type CallTimes, type MethodRate, methodRates, readCallTimes } from './call-times.js';

/** How the daemon is at one moment. What only root may see is undefined for others, as is what is not there. */
export interface Sample {
  readonly at: Date;
  readonly namespaces: number;
  /** Who has how many, the most first. */
  readonly owners: readonly (readonly [uid: number, count: number])[];
  readonly manager: number | undefined;
  /** How many workers are in each condition. */
  readonly workers: Readonly<Record<Condition, number>> | undefined;
  /** Connections that are open. */
  readonly connections: number | undefined;
  /** Connections that were accepted, a second. */
  readonly accepted: number | undefined;
  /** Calls that are being worked on. */
  readonly calls: number | undefined;
  /** Methods that were called since the look before; undefined where the daemon tells no metrics, and at first. */
  readonly methods: readonly MethodRate[] | undefined;
  /** From a new connection to the reply of a call, in milliseconds. */
  readonly latency: number | undefined;
  /** Of one processor, manager and workers together, in percent. */
  readonly cpu: number | undefined;
  /** Resident memory of manager and workers, in bytes; what they share counts each time. */
  readonly memory: number | undefined;
  /** What takes longer than it should, in words. */
  readonly slow: readonly string[];
}

/** What can only be told by looking twice. */
interface Former {
  readonly time: number;
  readonly accepted: number | undefined;
  readonly ticks: number | undefined;
  readonly times: CallTimes | undefined;
  /** The last sign of life of each worker, and how many looks ago it changed. */
  readonly beats: ReadonlyMap<number, { readonly beat: number; readonly looks: number }>;
}

/** How long a call may take, in milliseconds, before it counts as slow, and before it is given up. */
const SLOW = 100;
const CALL_TIME = 5000;

/** A worker gives a sign of life every second. So many looks without one are odd. */
const ODD_LOOKS = 3;

/** What /proc/PID/stat counts in, a second. sysconf(3) _SC_CLK_TCK is 100 everywhere. */
const TICKS = 100;
const PAGE = 4096;

/**
 * Makes a function that looks at the daemon, each time it is called.
 * @param report where it tells metrics
 */
export function sampler(
  loop: EventLoop,
  runtimeDirectory: string,
  registry: Registry,
  report: string,
): () => Promise<Sample> {
  let former: Former | undefined;
  return async () => {
    const latency = await callLatency(loop, socketPath(runtimeDirectory));
    const times = await readCallTimes(loop, report);
    const time = performance.now();
    const { entries } = readRegistry(registry);
    const owners = new Map<number, number>();
    for (const { owner } of entries) owners.set(owner, (owners.get(owner) ?? 0) + 1);
    const manager = readManager(runtimeDirectory);
    const told = manager === undefined ? undefined : readLedger(runtimeDirectory, manager);
    const processes = manager === undefined ? [] : [manager, ...(told?.workers.map(({ pid }) => pid) ?? [])];
    const ticks = manager === undefined ? undefined : sum(processes.map(processTicks));
    const beats = beatsOf(told, former);
    const seconds = former === undefined ? 0 : (time - former.time) / 1000;
    const sample: Sample = {
      at: new Date(),
      namespaces: entries.length,
      owners: [...owners].sort(([, a], [, b]) => b - a),
      manager,
      workers: told?.conditions,
      connections: told?.connections,
      accepted: rate(told?.accepted, former?.accepted, seconds),
      calls: told?.calls,
      methods: times && former?.times && methodRates(times, former.times, seconds),
      latency,
      cpu: rate(ticks, former?.ticks, (seconds * TICKS) / 100),
      memory: manager === undefined ? undefined : sum(processes.map(processMemory)),
      slow: [...slowCall(latency), ...silentWorkers(beats)],
    };
    former = { time, accepted: told?.accepted, ticks, times, beats };
    return sample;
  };
}

/** Undefined when there is no answer. */
async function callLatency(loop: EventLoop, path: string): Promise<number | undefined> {
  const begin = performance.now();
  try {
    using client = connect(loop, path, { callTime: CALL_TIME });
    await client.call(varlinkService.methods.GetInfo, {});
    return performance.now() - begin;
  } catch {
    return undefined;
  }
}

interface Told {
  readonly connections: number;
  readonly accepted: number;
  readonly calls: number;
  readonly conditions: Readonly<Record<Condition, number>>;
  readonly workers: readonly { readonly pid: number; readonly beat: number }[];
}

/** What the ledger tells; undefined where it may not be read, or is not there. */
function readLedger(runtimeDirectory: string, manager: number): Told | undefined {
  try {
    using ledger = Ledger.open(runtimeDirectory, manager);
    if (ledger === undefined) return undefined;
    const slots = ledger.taken;
    return {
      connections: ledger.total('connections'),
      calls: ledger.total('calls'),
      accepted: sum(slots.map((slot) => ledger.accepted(slot))),
      conditions: ledger.conditions,
      workers: slots.map((slot) => ({ pid: ledger.pid(slot), beat: ledger.beat(slot) })),
    };
  } catch (error) {
    if (isSystemError(error, 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
}

function beatsOf(told: Told | undefined, former: Former | undefined): Former['beats'] {
  return new Map(
    told?.workers.map(({ pid, beat }) => {
      const before = former?.beats.get(pid);
      return [pid, { beat, looks: before?.beat === beat ? before.looks + 1 : 0 }] as const;
    }),
  );
}

/** A worker that ends takes its count with it, so there may be less than before. */
function rate(now: number | undefined, before: number | undefined, seconds: number): number | undefined {
  return now === undefined || before === undefined || seconds === 0 ? undefined : Math.max(0, now - before) / seconds;
}

function slowCall(latency: number | undefined): string[] {
  if (latency === undefined) return [`no answer to a call within ${CALL_TIME / 1000} s`];
  return latency > SLOW ? [`a call took ${latency.toFixed(0)} ms`] : [];
}

function silentWorkers(beats: Former['beats']): string[] {
  return [...beats]
    .filter(([, { looks }]) => looks >= ODD_LOOKS)
    .map(([pid, { looks }]) => `worker ${pid} gave no sign of life in ${looks} looks`);
}

function processTicks(pid: number): number {
  // After the name, which may have anything in it: utime and stime are the 12th and 13th. proc_pid_stat(5)
  const fields = textOf(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

function processMemory(pid: number): number {
  return Number(textOf(`/proc/${pid}/statm`).split(' ')[1] ?? 0) * PAGE;
}

/** Empty for a process that is gone. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
