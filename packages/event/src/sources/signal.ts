import { type Signal, type SignalInfo, signalNumber } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import { listenToSignal } from '../received-signal.js';
import type { SourceOptions } from '../source.js';

/**
 * Comes for every such signal that the process receives, with what siginfo_t tells, instead of the signal's action.
 * Real-time signals (`SIGRTMIN+n`) are queued and never lost below RLIMIT_SIGPENDING; of a standard signal one is pending
 * at a time, as everywhere. When the last subscription ends, the signal has its former action again.
 * sd_event_add_signal(3), signal(7).
 *
 * Several loops of the main thread may listen to one signal; each of them gets it.
 *
 * Throws RangeError for an unknown signal. Fails with EINVAL for SIGKILL and SIGSTOP, EOPNOTSUPP in a worker thread.
 */
export function signal(core: LoopCore, which: Signal, options: SourceOptions = {}): Observable<SignalInfo> {
  const signo = signalNumber(which);
  return core.source<SignalInfo>('kernel', options, (source) => ({
    detach: listenToSignal(signo, core.watcher, (info) => source.pendAlso(info)),
  }));
}
