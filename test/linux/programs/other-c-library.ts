// What the library does where the C library is not the GNU one: its name can't be opened, and what only it has is not found. Prints
// what came of it as JSON.
// In our package's folder, as there is none for tests.
const found: unknown = await import(
  new URL('../../../../packages/linux/node_modules/koffi/index.js', import.meta.url).href
);
const { default: koffi } = found as { default: { load(path: string | null): object } };

const MISSING = process.argv.slice(2);

const load = koffi.load.bind(koffi);
const asked: string[] = [];
koffi.load = (path) => {
  if (path === 'libc.so.6') throw new Error('no such file');
  const library = load(path);
  return new Proxy(library, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'func') return value.bind(target);
      return (prototype: string) => {
        const [, called = ''] = /(\w+)\(/.exec(prototype) ?? [];
        asked.push(called);
        if (MISSING.includes(called)) throw new Error(`Cannot find function '${called}' in shared library`);
        return value.call(target, prototype);
      };
    },
  });
};

const {
  Fd,
  SystemError,
  closeInThreads,
  duplicate,
  eventfd,
  isOpen,
  setCloseOnExec,
  spawn,
  statx,
  waitPidfd,
  WEXITED,
} = await import('@sdrx/linux');

// Two that a child would inherit, above a hole.
const [first, second] = [duplicate(0, 20), duplicate(0, 30)];
for (const fd of [first, second]) setCloseOnExec(fd.number, false);
using child = spawn('sh', {
  args: ['-c', '[ -e /proc/$$/fd/20 ] || [ -e /proc/$$/fd/30 ] || exit 7'],
});
const closing = eventfd();
const number = closing.take();
closeInThreads([number]);
console.log(
  JSON.stringify({
    asked: MISSING.filter((name) => asked.includes(name)),
    message: new SystemError(2, 'open', '/missing').message,
    unknown: new SystemError(41, 'call').message,
    child: waitPidfd(child.pidfd.number, WEXITED)?.status,
    open: isOpen(number),
    inode: statx(new Fd(0).number).inode > 0n,
  }),
);
