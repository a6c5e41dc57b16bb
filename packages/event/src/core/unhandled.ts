import type { Scheduler } from './scheduler.js';
import type { SourceOptions } from './source.js';
import { surface } from './surface.js';

/** Who hears of the errors of an observer that nobody handles. */
export interface Unhandled {
  unhandled(error: unknown): void;
}

/** What such an error does, as the options of the source say. */
export function endByUnhandled(core: Scheduler, { exitOnFailure = false }: SourceOptions, error: unknown): void {
  if (exitOnFailure === false) {
    surface(error);
    return;
  }
  process.emitWarning(error instanceof Error ? error : String(error));
  core.exit(exitOnFailure === true ? 1 : exitOnFailure);
}
