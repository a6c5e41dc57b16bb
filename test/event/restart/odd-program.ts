import { channelVariable, type SimulatedProcess } from './simulated-process.js';
import type { Fate } from './simulated-service.js';

/** A program that is started to take over and says what it likes. */
export async function lie(
  process: SimulatedProcess,
  { says, then }: Extract<Fate, { how: 'lies' }>,
  after: (milliseconds: number) => Promise<void>,
): Promise<void> {
  using channel = process.takeChannel(channelVariable(process));
  for (const text of says) {
    await after(1);
    if (!process.runs || channel === undefined) return;
    try {
      process.send(channel.number, Buffer.from(text), []);
    } catch {
      // Nobody listens any more.
    }
  }
  if (then === 'exits') process.ends({ code: 'exited', status: 0 });
  else if (then === 'lives') await after(1e9);
  else channel?.close();
}
