import { varlinkService } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { isSize, type Size } from '../namespace/uid-range.js';
import { DELEGATES } from '../registry/namespace-entry.js';

const { TooManyDelegations } = namespaceResource.errors;
const { InvalidParameter } = varlinkService.errors;

const UINT32_MAX = 0xffff_ffff;

/** With 16 bits, "no id". chown(2) */
const NO_ID = 0xffff;

/** How a client asks for ids. */
export interface RangeRequest {
  readonly type?: 'managed' | 'self' | undefined;
  readonly size: number;
  readonly target?: number | undefined;
  readonly delegateContainerRanges?: number | undefined;
  readonly mapForeign?: boolean | undefined;
}

/** The same, as it can be done. */
export interface RequestedRange {
  /** Whether it is the client's own id. */
  readonly isSelf: boolean;
  readonly size: Size;
  /** The first id inside; undefined for the number that it has one namespace further up. */
  readonly target: number | undefined;
  /** How many ranges there are for namespaces within. */
  readonly delegates: number;
  readonly mapForeign: boolean;
}

/** Checks what a client asks for. Throws InvalidParameter, TooManyDelegations. */
export function requestedRange(request: RangeRequest): RequestedRange {
  const { type = 'managed', size, delegateContainerRanges: delegates = 0, mapForeign = false } = request;
  const isSelf = type === 'self';
  const target = request.target ?? (isSelf ? undefined : 0);
  if (!isSize(size) || (isSelf && size !== 1)) throw InvalidParameter({ parameter: 'size' });
  if (target !== undefined && !isTarget(target, size, isSelf)) throw InvalidParameter({ parameter: 'target' });
  if (delegates > DELEGATES) throw TooManyDelegations();
  return { isSelf, size, target, delegates, mapForeign };
}

function isTarget(target: number, size: Size, isSelf: boolean): boolean {
  return isSelf ? target === 0 : target !== NO_ID && target + size <= UINT32_MAX;
}
