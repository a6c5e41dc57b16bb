import { logText } from '../program/log-text.js';

/** Where something is printed, as far as it matters for how. */
export interface Output {
  readonly isTTY?: boolean;
}

/**
 * Whether an output takes colours: a terminal that is not dumb, where NO_COLOR is not set. no-color.org
 */
export function takesColors(output: Output, environment: NodeJS.ProcessEnv = process.env): boolean {
  return output.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb';
}

/** What begins a style, and what ends it. console_codes(4) */
const STYLES = {
  bold: ['\x1b[1m', '\x1b[22m'],
  dim: ['\x1b[2m', '\x1b[22m'],
  red: ['\x1b[31m', '\x1b[39m'],
  green: ['\x1b[32m', '\x1b[39m'],
  yellow: ['\x1b[33m', '\x1b[39m'],
} as const;
export type Style = keyof typeof STYLES;

/** Gives text a style, if the output takes colours. */
export function styled(output: Output, style: Style, text: string): string {
  const [begin, end] = STYLES[style];
  return takesColors(output) ? `${begin}${text}${end}` : text;
}

/** Tells who called what went wrong, as one line on the standard error. */
export function complain(message: string): void {
  process.stderr.write(`${styled(process.stderr, 'red', 'nsresourcectl:')} ${logText(message)}\n`);
}

/** Remarks to who looks on; the standard output is for what was asked for. */
export function remark(message: string): void {
  process.stderr.write(`${message}\n`);
}
