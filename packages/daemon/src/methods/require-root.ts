import type { PeerCredentials } from '@sdrx/linux';
import { varlinkService } from '@sdrx/varlink';

/** Throws PermissionDenied for clients other than root. */
export function requireRoot({ uid }: PeerCredentials): void {
  if (uid !== 0) throw varlinkService.errors.PermissionDenied();
}
