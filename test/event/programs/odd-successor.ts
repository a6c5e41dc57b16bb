import { spawn } from 'node:child_process';
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { takeOver } from '@sdrx/event';
import { ReceiveBuffer, sendMessage } from '@sdrx/linux';

// A program that is started as the next process of a service, and does what its last argument says in place of taking over.
const how = process.argv[2];
const number = Number(process.env.SDRX_RESTART_FD);
const send = (text: string) => void sendMessage(number, Buffer.from(text));
const live = () => void setInterval(() => {}, 1000);

switch (how) {
  case 'lives':
    live();
    break;
  case 'exits':
    break;
  case 'exits with 3':
    process.exitCode = 3;
    break;
  case 'closes the channel':
    closeSync(number);
    live();
    break;
  case 'forks and exits':
    // What is forked keeps the channel open, and speaks to nobody.
    spawn('sleep', ['5'], { stdio: ['ignore', 'ignore', 'ignore', number], detached: true }).unref();
    break;
  case 'sends nonsense':
    send('{"type":');
    live();
    break;
  case 'sends a number':
    send('7');
    live();
    break;
  case 'sends the wrong word':
    send('{"type":"accepting"}');
    live();
    break;
  case 'sends an odd progress':
    send('{"type":"progress","text":7}');
    live();
    break;
  case 'fails':
    takeOver()?.failed(new Error('there is\nno room'));
    live();
    break;
  case 'fails and has read nothing':
    send('{"type":"failed","message":"there is no room"}');
    break;
  case 'shows its hello': {
    const buffer = new ReceiveBuffer(65_536);
    const size = buffer.receive(number, []) ?? 0;
    writeSync(1, `${JSON.stringify({ hello: JSON.parse(buffer.bytes.toString('utf8', 0, size)) as unknown })}\n`);
    writeSync(1, `${JSON.stringify({ environ: readFileSync('/proc/self/environ', 'utf8').split('\0') })}\n`);
    break;
  }
}
