import { fileURLToPath } from 'node:url';
import type { JournalFields } from './journal-fields.js';

/** A line of a stack: `at where (file:line:column)`, or without a function `at file:line:column`. */
const FRAME = /^\s*at (?:(.*?) \()?(.*?):(\d+):\d+\)?$/;

/**
 * Where in the program a function was called: CODE_FILE, CODE_LINE and CODE_FUNC, of which a call outside of a function has no
 * last one. systemd.journal-fields(7)
 */
export function codeLocation(called: (...args: never[]) => unknown): JournalFields {
  const trace: { stack?: string } = {};
  Error.captureStackTrace(trace, called);
  const [, line = ''] = trace.stack?.split('\n', 2) ?? [];
  const [, where, file, number] = FRAME.exec(line) ?? [];
  if (file === undefined || number === undefined) return {};
  return {
    CODE_FILE: file.startsWith('file:') ? fileURLToPath(file) : file,
    CODE_LINE: number,
    CODE_FUNC: where?.replace(/^(?:async|new) /, ''),
  };
}
