import { allocate } from './allocate.js';
import { check } from './check.js';
import type { Command } from './command.js';
import { completion } from './completion.js';
import { list } from './list.js';
import { logLevel } from './log-level.js';
import { monitor } from './monitor.js';
import { release } from './release.js';
import { reload } from './reload.js';
import { run } from './run.js';
import { show } from './show.js';

/** All that nsresourcectl can do, as `--help` has it. */
export const COMMANDS: readonly Command[] = [
  ...[run, list, show, allocate, release, monitor, check, reload, logLevel],
  completion(() => COMMANDS),
];
