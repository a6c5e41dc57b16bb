import { check } from '../error/system-error.js';
import { descriptorPair, descriptorPairCall } from './descriptor-call.js';
import { Fd } from './fd.js';

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

const pipe2 = descriptorPairCall<(fds: Int32Array, flags: number) => number>('int pipe2(void *, int)');

/** The reading and the writing end of a pipe, close-on-exec and non-blocking. pipe(2). */
export function pipe(): [Fd, Fd] {
  check(pipe2(descriptorPair, O_CLOEXEC | O_NONBLOCK), 'pipe2');
  return [new Fd(descriptorPair[0] as number), new Fd(descriptorPair[1] as number)];
}
