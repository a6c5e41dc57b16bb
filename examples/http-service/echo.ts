import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';

const webSockets = new WebSocketServer({ noServer: true });

/**
 * Takes the connection of a request to /upgrade out of HTTP, and sends back all that comes then: the messages of a WebSocket, or the
 * bytes of a protocol of any other name.
 */
export function upgradeToEcho(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  // Whoever goes away in the middle is not served any longer; that is all.
  socket.on('error', () => socket.destroy());
  const protocol = request.headers.upgrade ?? '';
  if (request.url !== '/upgrade') {
    socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
  } else if (protocol.toLowerCase() === 'websocket') {
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (message, isBinary) => webSocket.send(message, { binary: isBinary }));
    });
  } else {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
    socket.unshift(head);
    socket.pipe(socket);
  }
}
