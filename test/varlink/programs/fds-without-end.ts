// In a process with few descriptors: clients whose messages bring 253 each and do not end, until one is refused; then another
// one's call. Prints what became of them.
import { memoryFile } from '@sdrx/linux';
import { exampleService } from '../example.js';
import { Fixture, frame, openFds, until } from '../fixture.js';

const file = memoryFile('fds');
const fixture = new Fixture(exampleService(), { limits: { fdsPerUser: Number.POSITIVE_INFINITY } });
const attackers = Array.from({ length: 10 }, () => fixture.raw());
const other = fixture.raw();
await until('their connections', () => fixture.accepted === 11);
const before = openFds();
for (const attacker of attackers) {
  attacker.sendBytes(Buffer.from('{'), Array(253).fill(file.number));
  const count = openFds();
  await until('its message', () => openFds() > count || fixture.refusals.length > 0);
}
const held = openFds() - before;
other.sendBytes(frame({ method: 'org.example.test.Inode', parameters: { fd: 2 } }), Array(3).fill(file.number));
const [reply] = await other.replies(1);
const refused = attackers.filter(({ closed }) => closed).length;
const [first] = await (attackers.find(({ closed }) => closed) ?? other).replies(1);
process.stdout.write(
  JSON.stringify({ held, refused, first, reason: fixture.refusals[0]?.reason, answered: Object.keys(Object(reply)) }),
);
await fixture[Symbol.asyncDispose]();
