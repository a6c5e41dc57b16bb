import { writeSync } from 'node:fs';
import { runService, ServedDatagrams, type Serving } from '@sdrx/event';
import { EPOLLIN, ReceiveBuffer, sendMessage } from '@sdrx/linux';
import { BehaviorSubject, type Subscription } from 'rxjs';

// Answers each datagram with what it said and its own process id: over UDP by Node, over a Unix socket by its own Serving.
const [, , udp = '', unix = ''] = process.argv;

process.exitCode = await runService(
  { sockets: { udp: `udp:${udp}`, unix: `unix-datagram:${unix}` }, restart: true },
  ({ loop, serve, sockets, current }) => {
    serve(
      new ServedDatagrams(sockets.udp.fd, 'udp4', (socket) => {
        socket.on('message', (message, { port, address }) => {
          socket.send(`${message.toString()} ${process.pid}`, port, address);
        });
      }),
    );
    const buffer = new ReceiveBuffer(4096);
    let subscription: Subscription | undefined;
    const answer = () => {
      for (;;) {
        const size = buffer.receive(sockets.unix.fd.number, []);
        if (size === undefined) return;
        const [to = '', what = ''] = buffer.bytes.toString('utf8', 0, size).split(' ');
        sendMessage(sockets.unix.fd.number, Buffer.from(`${what} ${process.pid}`), { to });
      }
    };
    const serving: Serving = {
      exclusive: true,
      count: new BehaviorSubject(0),
      waiting: false,
      resume: () => {
        subscription ??= loop.io(sockets.unix.fd, { events: EPOLLIN }).subscribe(answer);
      },
      pause: () => {
        subscription?.unsubscribe();
        subscription = undefined;
      },
      drain: async () => serving.pause(),
    };
    serve(serving);
    void current.then(() => writeSync(1, `${process.pid}\n`));
  },
);
