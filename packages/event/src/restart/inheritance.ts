import { MAX_PASSED_FDS } from '@sdrx/linux';
import type { Channel } from './channel.js';
import type { HandOverPlan } from './hand-over-plan.js';
import { PROTOCOL } from './protocol.js';
import { RestartError } from './restart-error.js';
import type { RestartSystem } from './restart-system.js';

/** How many descriptors must be left beside those that the hand-over needs. */
const SPARE_FDS = 32;

/**
 * Says what this process hands on, and sends the descriptors, among them one of itself.
 * @throws RestartError when too few descriptors are left, and as `Channel.send`
 */
export function sendInheritance(system: RestartSystem, channel: Channel, plan: HandOverPlan): void {
  const { sockets = [], fds = {}, draining = [], generation = 0 } = plan;
  using self = system.ownPidfd();
  const numbers = [
    ...sockets.map(({ fd }) => fd.number),
    ...Object.values(fds).map((fd) => (typeof fd === 'number' ? fd : fd.number)),
    ...draining.map(({ number }) => number),
    self.number,
  ];
  const free = system.freeDescriptors();
  if (free < numbers.length + SPARE_FDS) throw new RestartError('descriptors', `${free} are free`);
  channel.send({
    type: 'hello',
    protocol: PROTOCOL,
    generation: generation + 1,
    sockets: sockets.map(({ name, passed, fileIdentity }) => ({ name, passed, fileIdentity })),
    fds: Object.keys(fds),
    draining: draining.length + 1,
    startedByManager: system.environment.SYSTEMD_EXEC_PID === String(system.pid),
  });
  for (let at = 0; at < numbers.length; at += MAX_PASSED_FDS) {
    channel.send({ type: 'fds' }, numbers.slice(at, at + MAX_PASSED_FDS));
  }
}
