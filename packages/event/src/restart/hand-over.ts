import { checkMethods } from '@sdrx/linux';
import type { EventLoop } from '../loop.js';
import { messageOf } from '../service/message-of.js';
import { Attempt, asRestartError } from './attempt.js';
import { checkPlan, type HandOverPlan } from './hand-over-plan.js';
import { ownProgram } from './program.js';
import { RestartError } from './restart-error.js';
import { linuxRestarts } from './restart-system.js';
import type { Successor } from './successor.js';

/**
 * Starts the program anew, hands it all that this process serves with, and has it take over, without a moment in which nobody
 * serves. When this resolves the new process is the service: the service manager knows it as its main process, and this process
 * serves only what it had begun. When it rejects nothing has changed.
 *
 * The new process calls `takeOver`. The order: it gets sockets, descriptors and the state; it begins what it needs and says that
 * it is ready; here all that is exclusive is paused; it serves; here the rest is paused; the service manager is told MAINPID and
 * READY at once, by this process, which NotifyAccess=main allows.
 * Rejects with RestartError, whose `reason` tells why.
 */
export async function handOver(loop: EventLoop, plan: HandOverPlan = {}): Promise<Successor> {
  checkMethods('loop', loop, 'an EventLoop', 'io', 'child');
  checkPlan(plan);
  const { system = linuxRestarts } = plan;
  if (system.pid === 1) throw new RestartError('pid-namespace');
  const program = plan.program ?? ownProgram();
  system.checkProgram(program);
  const attempt = new Attempt(loop, system, plan, program);
  try {
    await attempt.prepare();
    return await attempt.switchOver();
  } catch (error) {
    const errors = await attempt.undo(error instanceof RestartError && error.reason === 'failed');
    if (errors.length === 0) throw asRestartError(error, 'failed');
    throw new RestartError('failed', [error, ...errors].map(messageOf).join('; '), { cause: error });
  }
}
