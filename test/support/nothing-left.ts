import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Test } from 'tap';
import { children } from './children.js';
import { Folder } from './folder.js';

/** What this process has open: each descriptor's number and what it stands for. */
export function openFds(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return []; // the one that listed the folder
    }
  });
}

/** What of this process somebody has to end: descriptors, children that run or were not reaped, folders of tests. */
function held(): Readonly<Record<string, readonly string[]>> {
  return { descriptors: openFds(), children: children().map(String), folders: Folder.paths() };
}

/** How many timers of Node's keep this process alive. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

type Body = (t: Test) => void | Promise<void>;

/** How long what ends by itself may take, in milliseconds. */
const LIMIT = 20_000;

/** A test that must end whatever it begins: it fails if at its end there is a descriptor, child, timer or folder that was not at its begin. */
export function leavingNothing(body: Body): (t: Test) => Promise<void> {
  return leaving(body, () => undefined);
}

/** The same where something ends a moment later by itself, such as a client's connection once its server has closed its end. */
export function leavingNothingSoon(body: Body): (t: Test) => Promise<void> {
  return leaving(body, (before) => untilSoon(() => isDeepStrictEqual(held(), before)));
}

function leaving(body: Body, wait: (before: object) => Promise<void> | undefined): (t: Test) => Promise<void> {
  return async (t) => {
    const [before, timersBefore] = [held(), timers()];
    await body(t);
    await wait(before);
    t.strictSame(held(), before, 'nothing is left behind');
    // A short one may be under way, as that after which `notify` tries again.
    await untilSoon(() => timers() <= timersBefore);
    t.ok(timers() <= timersBefore, 'no timer is left behind');
  };
}

async function untilSoon(condition: () => boolean): Promise<void> {
  const end = performance.now() + LIMIT;
  while (!condition() && performance.now() < end) await setImmediate();
}
