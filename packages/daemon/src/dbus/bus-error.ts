/** Somebody who was called over D-Bus answered with an error. */
export class BusError extends Error {
  override readonly name = 'BusError';

  /**
   * @param error its name, such as `org.freedesktop.DBus.Error.ServiceUnknown`
   * @param text what it says, for people
   */
  constructor(
    readonly error: string,
    readonly text: string,
  ) {
    super(text === '' ? error : `${error}: ${text}`);
  }
}
