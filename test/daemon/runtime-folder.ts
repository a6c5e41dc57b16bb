import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** Where every Linux has a file system that is as /run is, in memory: fsync(2) on a disk would take most of a test's time. */
const MEMORY = '/dev/shm';

/** A folder of this test's own, to be a runtime directory; gone after it. */
export function runtimeFolder(t: Test): string {
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'sdrx-registry-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
