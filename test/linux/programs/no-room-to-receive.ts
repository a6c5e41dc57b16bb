// Receives three descriptors with room for ARGUMENT of them; prints the error's code, and which descriptors it left. With
// `lost` as second argument it asks for those that are there.
import { ReceiveBuffer, sendMessage, socketPair } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';
import { fillFds } from '../../support/fill-fds.js';
import { openFds } from '../../support/nothing-left.js';

const [ours, theirs] = socketPair();
sendMessage(ours.number, Buffer.from('with'), { fds: [0, 1, 2] });
sendMessage(ours.number, Buffer.from('without'));
const buffer = new ReceiveBuffer(100);
const received: number[] = [];
const before = openFds();
const filling = fillFds(Number(process.argv[2]));
const lost: number[] | undefined = process.argv[3] === 'lost' ? [] : undefined;
const code = errorCode(() => buffer.receive(theirs.number, received, lost));
for (const fd of filling) fd.close();
const left = openFds().filter((fd) => !before.includes(fd)).length;
const next = buffer.receive(theirs.number, []);
process.stdout.write(JSON.stringify({ code, received: received.length, left, next }));
