import { readdirSync, readlinkSync } from 'node:fs';
import type { Test } from 'tap';

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

/** A test that must close whatever it opens: it fails if a descriptor is open at its end that was not at its begin. */
export function leavingNoFd(body: (t: Test) => void | Promise<void>): (t: Test) => Promise<void> {
  return async (t) => {
    const before = openFds();
    await body(t);
    t.strictSame(openFds(), before, 'no descriptor is left behind');
  };
}
