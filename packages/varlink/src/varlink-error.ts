/** An error reply of the Varlink protocol, as a handler throws it and as a client gets it. varlink.org/Method-Call */
export class VarlinkError extends Error {
  override readonly name = 'VarlinkError';

  /**
   * @param error its full name, as `org.varlink.service.PermissionDenied`
   * @param parameters its fields
   */
  constructor(
    readonly error: string,
    readonly parameters: Readonly<Record<string, unknown>> = {},
  ) {
    const text = JSON.stringify(parameters);
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
