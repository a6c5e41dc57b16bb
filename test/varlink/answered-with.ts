import { accept, bind, type Fd, listen, sendMessage, unixSocket } from '@sdrx/linux';
import { type ClientOptions, connect, type VarlinkClient } from '@sdrx/varlink';
import { exampleService } from './example.js';
import { until, withServer } from './fixture.js';

/**
 * Has a client ask a service that answers with given bytes, which speak for themselves.
 * @param fds are sent along
 * @returns what came of it, or why it was rejected
 */
export async function answeredWith<T>(
  bytes: string,
  ask: (client: VarlinkClient) => Promise<T>,
  fds: readonly number[] = [],
  options: ClientOptions = {},
): Promise<T | unknown> {
  let result: unknown;
  await withServer(exampleService(), async (fixture) => {
    const path = `${fixture.folder}/odd`;
    const listener = unixSocket();
    bind(listener.number, path);
    listen(listener.number);
    const client = connect(fixture.loop, path, options);
    const answer = ask(client).catch((error: unknown) => error);
    let connection: Fd | undefined;
    await until('the client', () => {
      connection = accept(listener.number);
      return connection !== undefined;
    });
    if (bytes !== '') sendMessage(connection?.number ?? -1, Buffer.from(bytes), { fds });
    result = await answer;
    client[Symbol.dispose]();
    connection?.close();
    listener.close();
  });
  return result;
}
