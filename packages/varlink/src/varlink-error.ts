import { checkObject } from '@sdrx/linux';
import { requireText } from './arguments.js';

/** An error reply of the Varlink protocol, as a handler throws it and as a client gets it. varlink.org/Method-Call */
export class VarlinkError extends Error {
  override readonly name = 'VarlinkError';

  /**
   * @param error its full name, as `org.varlink.service.PermissionDenied`
   * @param parameters its fields
   * @throws TypeError for a name that is no string, and for parameters that are no object
   */
  constructor(
    readonly error: string,
    readonly parameters: Readonly<Record<string, unknown>> = {},
  ) {
    requireText(error, 'error');
    checkObject('parameters', parameters);
    const text = describe(parameters);
    super(text === '{}' ? error : `${error} ${text}`);
  }

  /** One without a stack: an answer such as "no such record" is no failure, and to note the stack is half its cost. */
  static asAnswer(error: string, parameters?: Readonly<Record<string, unknown>>): VarlinkError {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      return new VarlinkError(error, parameters);
    } finally {
      Error.stackTraceLimit = limit;
    }
  }
}

/** The parameters for a message that people read, whatever they are; whether they can be sent shows when they are. */
function describe(parameters: object): string {
  try {
    return JSON.stringify(parameters);
  } catch {
    return describeOddities(parameters);
  }
}

function describeOddities(parameters: object): string {
  try {
    return JSON.stringify(parameters, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  } catch {
    return '{…}';
  }
}

/** Whether something thrown is a VarlinkError, also of another copy of this package. */
export function isVarlinkError(thrown: unknown): thrown is VarlinkError {
  if (thrown instanceof VarlinkError) return true;
  return (
    thrown instanceof Error && thrown.name === 'VarlinkError' && 'error' in thrown && typeof thrown.error === 'string'
  );
}

/** The connection ended before the answer came. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';

  /** @param reason why, as an errno message or in words */
  constructor(reason: string) {
    super(`the varlink connection is closed: ${reason}`);
  }
}

/** The other side sent something that is no Varlink message. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}
