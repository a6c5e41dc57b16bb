import { checkChoice, checkObject, signalName } from '@sdrx/linux';
import type { ProgramEnded, SupervisionEvent } from './supervision-event.js';

const TYPES: readonly SupervisionEvent['type'][] = [
  'started',
  'line',
  'ended',
  'waiting',
  'stopped',
  'done',
  'gave-up',
];

/** What has become of a program, in words for a log, without its name: `exited with 3 after 0.1 s`. */
export function describeSupervision(event: SupervisionEvent): string {
  checkObject('event', event);
  checkChoice('event.type', event.type, TYPES);
  switch (event.type) {
    case 'started':
      return `started, attempt ${event.attempt}`;
    case 'line':
      return `${event.stream}: ${event.text}`;
    case 'ended':
      return describeEnd(event);
    case 'waiting':
      return `starts again in ${Math.ceil(event.delay)} ms${event.reason === 'start-limit' ? ', when the limit allows it' : ''}`;
    case 'stopped':
      return 'stopped';
    case 'done':
      return 'is done';
    case 'gave-up':
      return `given up, as there were too many starts`;
  }
}

function describeEnd({ code, status, cause, forced, after, outputLeft, error }: ProgramEnded): string {
  if (cause === 'spawn-failed') return `could not be started: ${error?.message}`;
  const time = ` after ${(after / 1000).toFixed(1)} s`;
  if (code === undefined || status === undefined) return `ended${time}, nobody knows how`;
  const how = code === 'exited' ? `exited with ${status}` : `was killed by ${signalName(status)}`;
  const core = code === 'dumped' ? ' with a core' : '';
  const why = cause === 'stop' ? ', as it was asked to' : cause === 'watchdog' ? ', as it hung' : '';
  const left = outputLeft ? '; another process holds its output' : '';
  return `${how}${core}${time}${why}${forced ? ', by force' : ''}${left}`;
}
