import { join } from 'node:path';
import { EarlyWorker } from './early-worker.js';

/** With these our worker is not needed: another program is, or none. */
const WITHOUT = /^(--worker\b.*|--help|-h|--version)$/;

/** The first worker, begun as soon as this module is loaded, which the program has done before all else. */
export const early = process.argv.slice(2).some((argument) => WITHOUT.test(argument))
  ? undefined
  : EarlyWorker.begin(join(import.meta.dirname, 'nsresourcework'));
