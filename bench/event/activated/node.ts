import { createServer } from 'node:http';

createServer((_, response) => response.end('hello\n')).listen({ fd: 3 });
