import { Ledger, LedgerSlot, Log, PoolWorker, StartPatience } from '@sdrx/daemon';
import { ChildProcess, Fd, type Signal } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';

/** A process that takes no notice of signals, as one that hangs in the kernel. */
class HangingProcess extends ChildProcess {
  readonly signals: Signal[] = [];

  override kill(signal: Signal = 'SIGTERM'): boolean {
    this.signals.push(signal);
    return true;
  }
}

function start(t: Test) {
  const folder = new Folder();
  const ledger = Ledger.create(folder.path);
  t.teardown(() => {
    ledger[Symbol.dispose]();
    folder[Symbol.dispose]();
  });
  const log = new Log('test');
  log.target = 'null';
  const process = new HangingProcess(1, new Fd(-1));
  const slot = ledger.assign() as number;
  const worker = new PoolWorker(process, slot, 0);
  const patience = new StartPatience();
  const look = (times: number) => {
    for (let time = 0; time < times; time++) worker.look(ledger, patience, log);
  };
  return { process, worker, look, patience, own: new LedgerSlot(ledger, slot, 1) };
}

t.test('a worker that hangs in the kernel is told to end, killed, and given up', async (t) => {
  const { process, worker, look, own } = start(t);
  own.beat(1000);
  own.condition = 'serving';
  look(5);
  t.equal(worker.serves, true);
  look(1);
  t.equal(worker.serves, false);
  t.strictSame(process.signals, ['SIGTERM']);
  look(10);
  t.strictSame(process.signals, ['SIGTERM', 'SIGKILL']);
  t.equal(worker.lost, false);
  look(5);
  t.equal(worker.lost, true);
  look(100);
  worker.kill();
  t.strictSame(process.signals, ['SIGTERM', 'SIGKILL'], 'nobody asks it again');
});

t.test('one that never began is killed at once, and the next one has more time', async (t) => {
  const { process, worker, look, patience } = start(t);
  look(19);
  t.equal(worker.serves, true);
  look(1);
  t.equal(worker.serves, false);
  t.strictSame(process.signals, ['SIGKILL']);
  t.equal(patience.looks, 40);
});

t.test('one that is full or draining does not count, and is left alone', async (t) => {
  const { process, worker, look, own } = start(t);
  for (const [index, condition] of (['serving', 'full', 'serving', 'draining'] as const).entries()) {
    own.beat(1000 * (index + 1));
    own.condition = condition;
    look(1);
    t.equal(worker.serves, condition === 'serving', condition);
  }
  t.strictSame(process.signals, []);
});
