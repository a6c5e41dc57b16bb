import type { Call } from '@sdrx/varlink';
import { type Observable, of } from 'rxjs';
import type { Action, Details } from '../polkit/action.js';
import type { WorkerContext } from '../worker/worker-context.js';

/**
 * Emits once if polkit has nothing against what a client asks for; root is not asked about. Takes as long as polkit does. What was
 * looked at before and may change has to be looked at again.
 * Fails as `check` of Authority.
 */
export function requireAuthorization(
  { authority }: WorkerContext,
  call: Pick<Call, 'peer' | 'peerPidfd'>,
  action: Action,
  details: Details = {},
): Observable<void> {
  return call.peer.uid === 0 ? of(undefined) : authority.check(call, action, details);
}
