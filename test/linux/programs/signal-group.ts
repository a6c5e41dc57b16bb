// Sends a signal to a process group again and again: arguments GROUP SIGNO COUNT. The members have to take them as they come.
const never = new Int32Array(new SharedArrayBuffer(4));
const [group = 0, signo = 0, count = 0] = process.argv.slice(2).map(Number);
for (let index = 0; index < count; index++) {
  process.kill(-group, signo);
  Atomics.wait(never, 0, 0, 0.1);
}
