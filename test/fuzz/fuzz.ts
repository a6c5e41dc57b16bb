import { readdirSync, readFileSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import fc from 'fast-check';
import { firstValueFrom } from 'rxjs';
import { privateDirty } from '../support/private-dirty.js';
import { untilOr } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';
import { within } from '../support/within.js';
import type { FdKinds } from './fd-kinds.js';
import { Rules } from './rules.js';
import { anySession, type Outcome, play, type SessionPlan } from './session.js';

/** How many connections there are at a time. */
const AT_A_TIME = 24;

/** How many sessions are made of one seed. */
const BATCH = 240;

/** How often a session is played again whose connection a worker ended, as it does when it is to end itself. */
const TRIES = 4;

/** How long a session may take, and descriptors may take to be closed, in milliseconds. */
const PATIENCE = 30_000;

export interface FuzzOptions {
  readonly loop: EventLoop;
  /** Where the daemon listens. */
  readonly path: string;
  readonly kinds: FdKinds;
  readonly uids: readonly number[];
  readonly seed: number;
  /** When it is enough: after this time in milliseconds, or so many messages. */
  readonly time: number;
  readonly messages: number;
  /** The processes that serve. */
  readonly workers: () => readonly number[];
}

/** What was found. */
export interface FuzzReport {
  readonly messages: number;
  readonly sessions: number;
  /** Played again, as their worker had come to its end. */
  readonly again: number;
  /** The largest private memory of a worker, after the first batches and at the end, in kilobytes. */
  readonly memory: readonly [number, number];
}

/** A session that went wrong. */
export class FuzzError extends Error {
  constructor(
    readonly complaint: string,
    readonly seed: number,
    readonly plan: SessionPlan | undefined,
  ) {
    const session = plan && { uid: plan.uid, bytes: plan.bytes.toString('latin1'), pieces: plan.pieces };
    super(`${complaint}; seed ${seed}${session === undefined ? '' : `, session ${JSON.stringify(session)}`}`);
  }
}

/** Plays sessions until it is enough. Throws FuzzError for the first one that goes wrong. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { loop, path, kinds, uids, workers } = options;
  const rules = new Rules(await interfaceTexts(path));
  const end = performance.now() + options.time;
  let [messages, sessions, again, batches] = [0, 0, 0, 0];
  let memory = 0;
  const arbitrary = anySession(kinds.kinds.length, uids);
  const open = new OpenFds(workers);
  for (let seed = options.seed; messages < options.messages && performance.now() < end; seed++) {
    const plans = fc.sample(arbitrary, { seed, numRuns: BATCH });
    const left = [...plans];
    const playAll = async () => {
      for (let plan = left.pop(); plan !== undefined; plan = left.pop()) {
        again += await playOne(loop, path, plan, kinds, rules, seed);
        messages += countMessages(plan);
        sessions++;
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, playAll));
    // What a worker opens for good it has opened by then.
    if (batches++ < 3) open.note();
    else await open.settle(seed);
    if (batches === 5) memory = largest(workers());
  }
  return { messages, sessions, again, memory: [memory, largest(workers())] };
}

/** @returns how often it had to be played again */
async function playOne(
  loop: EventLoop,
  path: string,
  plan: SessionPlan,
  { kinds }: FdKinds,
  rules: Rules,
  seed: number,
): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    let outcome: Outcome;
    try {
      outcome = await within(PATIENCE, () => 'it hangs', firstValueFrom(play(loop, path, plan, kinds, rules)));
    } catch (error) {
      throw new FuzzError(String(error), seed, plan);
    }
    if (outcome === 'right') return tries;
    if (outcome !== 'cut short') throw new FuzzError(outcome.wrong, seed, plan);
  }
  throw new FuzzError('the connection ends before all is answered', seed, plan);
}

/** The descriptors of all that serve. */
class OpenFds {
  readonly #known = new Map<number, number>();

  constructor(readonly workers: () => readonly number[]) {}

  /** Takes what is open now for what stays open. */
  note(): void {
    for (const pid of this.workers()) this.#known.set(pid, Math.max(countFds(pid), this.#known.get(pid) ?? 0));
  }

  /** Waits until no more is open. */
  async settle(seed: number): Promise<void> {
    const usual = Math.max(...this.#known.values());
    const more = () => this.workers().filter((pid) => countFds(pid) > usual);
    await untilOr(
      PATIENCE,
      () => more().length === 0,
      () => new FuzzError(`worker ${more()[0]} has more than ${usual} descriptors`, seed, undefined).message,
    );
  }
}

function countFds(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0; // It has ended.
  }
}

function largest(workers: readonly number[]): number {
  return Math.max(...workers.map((pid) => privateDirtyOr0(pid)));
}

function privateDirtyOr0(pid: number): number {
  try {
    return privateDirty(pid);
  } catch {
    return 0;
  }
}

function countMessages({ bytes }: SessionPlan): number {
  let count = 0;
  for (const byte of bytes) if (byte === 0) count++;
  return count;
}

/** What the service says of its own interfaces. */
export async function interfaceTexts(path: string): Promise<Map<string, string>> {
  const { parameters } = await varlinkCall(path, 'org.varlink.service.GetInfo');
  const names = parameters?.interfaces as string[];
  const texts = new Map<string, string>();
  for (const name of names) {
    const reply = await varlinkCall(path, 'org.varlink.service.GetInterfaceDescription', { interface: name });
    texts.set(name, String(reply.parameters?.description));
  }
  return texts;
}

/** The workers among a daemon's children: what they are called is all that tells them. */
export function isWorker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .split('\0')
      .some((word) => word.endsWith('/nsresourcework'));
  } catch {
    return false;
  }
}
