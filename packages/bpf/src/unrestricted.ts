import { checkMethods } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { UsernsRestrict } from './userns-restrict.js';

/** No restriction at all, for hosts without BPF LSM: namespaces that died are found by whoever makes this. */
export class Unrestricted implements UsernsRestrict {
  readonly enforced = false;
  readonly hook = undefined;

  constructor(readonly dead: Observable<readonly number[]>) {
    checkMethods('dead', dead, 'an Observable', 'subscribe');
  }

  put(): void {}
  putInode(): void {}
  denySetgroups(): void {}
  reset(): void {}
  /** None. */
  inodes(): number[] {
    return [];
  }
  /** Has nothing to give back. */
  [Symbol.dispose](): void {}
}
