import { type Signal, type SignalInfo, signalNumber } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

/** `EventLoop.signal`, which tells what users need to know. */
export function signal(core: LoopCore, which: Signal, options: SourceOptions = {}): Observable<SignalInfo> {
  const signo = signalNumber(which);
  return core.source<SignalInfo>('kernel', options, (source) => ({
    detach: core.signals.listen(signo, core.watcher, source),
    dispatched: () => {
      if (core.signals.left) core.askKernel();
    },
  }));
}
