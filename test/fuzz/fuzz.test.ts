import { EventLoop } from '@sdrx/event';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { varlinkCall } from '../support/varlink-call.js';
import { canMakeKinds, FdKinds } from './fd-kinds.js';
import { fuzz, isWorker } from './fuzz.js';

/** Users of no system. */
const STRANGER = 60_621;
const OTHER = 60_622;

/** `npm run fuzz` sets these. */
const seconds = Number(process.env.SDRX_FUZZ_SECONDS ?? 20);
const messages = Number(process.env.SDRX_FUZZ_MESSAGES ?? Number.POSITIVE_INFINITY);
const seed = Number(process.env.SDRX_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** The private memory that a worker may have after any number of messages, in kilobytes. */
const MEMORY = 120_000;

t.setTimeout(0);

t.test(
  'whatever clients send, in whatever pieces and with whatever descriptors, is answered by the rules, and nothing stays',
  { skip: canMakeKinds() ? false : 'only root can be several users', timeout: 0 },
  async (t) => {
    t.comment(`seed ${seed}`);
    // What it makes in its network must not be in ours.
    const daemon = await startDaemon(t, { through: ['unshare', '--net'] });
    using kinds = new FdKinds(STRANGER);
    using loop = new EventLoop();
    const finished = loop.run();
    const workers = () => daemon.children().filter(isWorker);
    const report = await fuzz({
      loop,
      path: daemon.socketPath,
      kinds,
      uids: [0, 0, STRANGER, OTHER],
      seed,
      time: seconds * 1000,
      messages,
      workers,
    });
    t.comment(JSON.stringify({ ...report, kinds: kinds.kinds.length, seconds }));
    t.ok(report.messages > 0);
    t.ok(report.memory[1] < MEMORY, `a worker has at most ${report.memory[1]} kB of its own`);
    t.notMatch(daemon.log(), /killed|dumped|failed with|exited with|a connection failed/, 'no worker crashed');
    const { parameters } = await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo');
    t.equal(parameters?.product, 'nsresourced');
    loop.exit();
    await finished;
    t.match(await daemon.stop(), { code: 0 });
  },
);
