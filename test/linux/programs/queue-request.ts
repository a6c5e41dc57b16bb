// Sends the process PID the signal SIGNO with the code by which it asks its own threads to block it: arguments PID SIGNO.
import { libc } from '@sdrx/linux';

const SYS_RT_SIGQUEUEINFO = process.arch === 'arm64' ? 138 : 129;
const SI_ASYNCNL = -60;

const [pid = 0, signo = 0] = process.argv.slice(2).map(Number);
const info = Buffer.alloc(128);
info.writeInt32LE(signo, 0);
info.writeInt32LE(SI_ASYNCNL, 8);
info.writeInt32LE(process.pid, 16);
const queueInfo = libc<(call: number, pid: number, signo: number, info: Uint8Array) => number>(
  'long syscall(long, long, long, void *)',
);
process.exitCode = queueInfo(SYS_RT_SIGQUEUEINFO, pid, signo, info) === 0 ? 0 : 1;
