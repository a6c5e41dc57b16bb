import { EventLoop } from '@sdrx/event';
import { firstValueFrom } from 'rxjs';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { canMakeKinds, FdKinds } from './fd-kinds.js';
import { foundSessions } from './found.js';
import { interfaceTexts } from './fuzz.js';
import { Rules } from './rules.js';
import { play } from './session.js';

const STRANGER = 60_621;

/** Some went wrong only when the pieces were received one by one, or only together. */
const TIMES = 20;

t.test(
  'sessions that once went wrong are answered by the rules',
  { skip: canMakeKinds() ? false : 'only root can be several users' },
  async (t) => {
    const daemon = await startDaemon(t, { through: ['unshare', '--net'] });
    using kinds = new FdKinds(STRANGER);
    using loop = new EventLoop();
    const finished = loop.run();
    const rules = new Rules(await interfaceTexts(daemon.socketPath));
    for (const { why, uid, bytes, pieces } of foundSessions) {
      const plan = {
        uid,
        bytes: Buffer.from(bytes, 'latin1'),
        pieces: pieces.map(({ end, fds }) => ({ end, fds: fds.map((name) => kinds.indexOf(name)) })),
      };
      for (let time = 0; time < TIMES; time++) {
        t.equal(await firstValueFrom(play(loop, daemon.socketPath, plan, kinds.kinds, rules)), 'right', why);
      }
    }
    loop.exit();
    await finished;
  },
);
