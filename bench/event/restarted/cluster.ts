// A server of Node's whose worker is replaced by node:cluster: the new one listens before the old one is told to disconnect.
import cluster, { type Worker } from 'node:cluster';
import { createServer } from 'node:http';

const [, , port = ''] = process.argv;

if (cluster.isPrimary) {
  let current: Worker | undefined;
  const replace = () => {
    const former = current;
    current = cluster.fork().once('listening', () => {
      former?.disconnect();
      console.log('ready');
    });
  };
  process.on('SIGHUP', replace);
  process.on('SIGTERM', () => process.exit());
  replace();
} else {
  createServer((_, response) => response.end('hello\n')).listen({ port: Number(port), host: '127.0.0.1' });
}
