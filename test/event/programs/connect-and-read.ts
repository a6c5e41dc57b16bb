import { connect } from 'node:net';

// Connects to PORT, some at a time, until its input ends; reads each connection to its end, and prints how often came what.
const [port = 0, atOnce = 1] = process.argv.slice(2).map(Number);
const outcomes: Record<string, number> = {};
let isOver = false;

function begin(): void {
  if (isOver) return;
  let outcome = '';
  const socket = connect({ port, host: '127.0.0.1' });
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => (outcome += text));
  socket.on('error', ({ message }) => (outcome += message));
  socket.on('close', () => {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    begin();
  });
}

process.stdin.on('end', () => (isOver = true)).resume();
process.on('exit', () => console.log(JSON.stringify(outcomes)));
for (let count = 0; count < atOnce; count++) begin();
