import { NodePoll } from '@sdrx/linux';

/** Resolves as soon as `fd` is readable. */
export async function readable(fd: number): Promise<void> {
  let poll: NodePoll | undefined;
  await new Promise<void>((resolve) => {
    // What an unsettled callback of a poll handle queues may not run, so resolve in an immediate.
    poll = new NodePoll(fd, () => setImmediate(resolve));
  });
  poll?.[Symbol.dispose]();
}
