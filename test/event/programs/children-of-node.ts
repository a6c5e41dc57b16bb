import { spawn } from 'node:child_process';

/** Has 20 children by node:child_process, whose ends both Node and a loop are to learn of; it ends when Node has nothing left. */
const [, , how] = process.argv;

const before = how === 'started-before' ? start() : [];
const { EventLoop } = await import('@sdrx/event');
const children = how === 'started-before' ? before : start();

const loop = new EventLoop();
let [told, exited] = [0, 0];
const count = (): void => {
  if (told >= 20 && exited === 20) loop.exit();
};
for (const child of children) {
  child.once('exit', () => {
    exited++;
    count();
  });
  if (how === 'SIGCHLD') continue;
  loop.child(how === 'child' ? child : (child.pid ?? -1)).subscribe(() => {
    told++;
    count();
  });
}
if (how === 'SIGCHLD') {
  // Several signals may be one.
  loop.signal('SIGCHLD').subscribe(() => {
    told = 20;
    count();
  });
}
for (const child of children) child.stdin?.end();
await loop.run();
console.log(`${told} told, ${exited} exited`);

function start() {
  return Array.from({ length: 20 }, () => spawn('cat', { stdio: ['pipe', 'ignore', 'inherit'] }));
}
