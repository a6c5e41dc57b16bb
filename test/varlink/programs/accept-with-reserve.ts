// In a process with few descriptors: clients connect until the server accepts no more of them; then a call with as many
// descriptors as one may have. At last most clients leave, and the next one is served. Prints what happened.
import { type ChildProcess, spawn } from 'node:child_process';
import { memoryFile } from '@sdrx/linux';
import { call, exampleService } from '../example.js';
import { Fixture, frame, until } from '../fixture.js';

const file = memoryFile('fds');
const fixture = new Fixture(exampleService(), { limits: { connectionsPerUser: 4096 } });
const other = fixture.raw();
await until('a connection', () => fixture.accepted === 1);
// Their ends are in another process.
const connectMany = `const { connect } = require('net');
for (let i = 0; i < 700; i++) connect(process.argv[1]).on('error', () => {});
process.stdin.on('end', () => process.exit()).resume();`;
const crowd: ChildProcess = spawn(process.execPath, ['-e', connectMany, fixture.path], {
  stdio: ['pipe', 'ignore', 'inherit'],
});
await until('the end of accepting', () => fixture.events.some(({ type }) => type === 'exhausted'));
other.sendBytes(frame(call('Inode', { fd: 252 })), Array(253).fill(file.number));
const [reply] = await other.replies(1);
crowd.stdin?.end();
await until('the end of the crowd', () => crowd.exitCode !== null);
const next = fixture.raw();
next.send(call('Nothing'));
const [answer] = await next.replies(1);
process.stdout.write(
  JSON.stringify({ exhausted: true, answered: Object.keys(Object(reply)), accepted: answer !== undefined }),
);
await fixture[Symbol.asyncDispose]();
