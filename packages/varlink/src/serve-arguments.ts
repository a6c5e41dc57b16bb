import type { EventLoop } from '@sdrx/event';
import { checkBoolean, checkFunction, checkMethods, checkObject } from '@sdrx/linux';
import { requireFd, shown } from './arguments.js';
import { SERVE_LIMITS } from './limits.js';
import type { ServeOptions } from './serve-options.js';
import type { Service } from './service.js';

/** @throws TypeError or RangeError that names what can be no argument of `serve` */
export function requireServeArguments(
  loop: EventLoop,
  service: Service,
  listenFd: number,
  options: ServeOptions,
): void {
  requireService(loop, service);
  requireFd(listenFd, 'listenFd');
  requireServeOptions(options);
}

/** @throws TypeError for what is no loop or no service */
export function requireService(loop: EventLoop, service: Service): void {
  checkMethods('loop', loop, 'an EventLoop', 'io');
  checkObject('service', service);
  checkMethods('service.methods', service.methods, 'a Map', 'get');
}

/** @throws TypeError or RangeError that names the option that is none */
export function requireServeOptions(options: ServeOptions): void {
  checkObject('options', options);
  const { acceptBatch, exclusive, drain, limits = {}, account, admit, holdFd, bars } = options;
  if (acceptBatch !== undefined && !(Number.isInteger(acceptBatch) && acceptBatch > 0)) {
    throw new RangeError(`\`acceptBatch\` must be a whole number above 0, not ${shown(acceptBatch)}`);
  }
  if (exclusive !== undefined) checkBoolean('exclusive', exclusive);
  if (drain !== undefined) checkMethods('drain', drain, 'an Observable', 'subscribe');
  checkObject('limits', limits);
  for (const name of Object.keys(limits)) {
    if (!Object.hasOwn(SERVE_LIMITS, name)) throw new TypeError(`there is no limit '${name}'`);
  }
  for (const [name, value] of Object.entries({ account, admit, holdFd })) {
    if (value !== undefined) checkFunction(name, value);
  }
  if (bars !== undefined) checkMethods('bars', bars, 'a Set', 'has');
}
