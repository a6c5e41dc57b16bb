import { EPOLLIN, NodePoll, pollNow } from '@sdrx/linux';

/** Resolves as soon as `fd` is readable. */
export async function readable(fd: number): Promise<void> {
  let poll: NodePoll | undefined;
  await new Promise<void>((resolve) => {
    // What an unsettled callback of a poll handle queues may not run, so resolve in an immediate.
    poll = new NodePoll(fd, () => setImmediate(resolve));
  });
  poll?.[Symbol.dispose]();
}

/** Whether there is something to read now. */
export function isReadable(fd: number): boolean {
  return pollNow(fd, EPOLLIN) !== 0;
}
