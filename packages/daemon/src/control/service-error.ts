/** A service's error reply, by its full name, as `io.systemd.NamespaceResource.NameExists`. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';

  constructor(
    readonly error: string,
    readonly parameters: Readonly<Record<string, unknown>>,
  ) {
    super(Object.keys(parameters).length === 0 ? error : `${error} ${JSON.stringify(parameters)}`);
  }
}
