import { writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { Folder } from './folder.js';

/** A worker program that serves nobody, for what a manager does about workers. */
export interface WorkerScript {
  readonly path: string;
  /** Where it may leave things, for itself as `$FOLDER`; removed with the test. */
  readonly folder: Folder;
}

/** Makes one out of lines for the shell. Without any it waits until it is killed, as `sleep`. */
export function workerScript(t: Test, ...lines: readonly string[]): WorkerScript {
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const path = folder.join('worker');
  writeFileSync(path, ['#!/bin/sh', `FOLDER='${folder.path}'`, ...lines, 'exec sleep 1000', ''].join('\n'), {
    mode: 0o755,
  });
  return { path, folder };
}
