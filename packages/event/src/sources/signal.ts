import { type Signal, type SignalInfo, signalNumber } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';

const SIGNAL: SourceKind = { name: 'signal', origin: 'kernel' };

/** `EventLoop.signal`, which tells what users need to know. */
export function signal(core: Scheduler, which: Signal, options: SourceOptions = {}): Observable<SignalInfo> {
  const signo = signalNumber(which);
  return sourceOf<SignalInfo>(core, SIGNAL, options, (source) => ({
    detach: core.signals.listen(signo, source),
    dispatched: () => {
      if (core.signals.left) core.askKernel();
    },
  }));
}
