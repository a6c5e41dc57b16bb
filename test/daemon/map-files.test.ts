import { openSync } from 'node:fs';
import { type NamespaceHelpers, openMaps } from '@sdrx/daemon';
import { Fd, type IdMapKind, isSystemError, O_DIRECTORY, O_PATH } from '@sdrx/linux';
import { firstValueFrom, tap } from 'rxjs';
import t, { type Test } from 'tap';
import { kernelMap } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { needsRoot } from '../support/privileges.js';
import { below, UserNamespace } from '../support/user-namespace.js';
import { Stopper, withHelpers } from '../support/with-helpers.js';

/** A namespace of user `UID` in one of the same user, which has its only id. */
class Nested implements Disposable {
  readonly above = new UserNamespace(UID, '--map-root-user');
  readonly namespace = new UserNamespace(below(this.above, 0));
  readonly fd = this.above.open();
  readonly directory = new Fd(openSync(`/proc/${this.namespace.child.pid}`, O_PATH | O_DIRECTORY));

  get map(): string {
    return kernelMap(this.namespace.child.pid, 'uid_map');
  }

  [Symbol.dispose](): void {
    for (const part of [this.directory, this.fd, this.namespace, this.above]) part[Symbol.dispose]();
  }
}

const open = ({ loop, launcher }: NamespaceHelpers, { fd, directory }: Nested) =>
  openMaps(loop, launcher, fd.number, directory.number);

/** Waits until it is done with what opens maps, and with a namespace that has none yet; then nothing is left of either. */
function nested(body: (t: Test, helpers: NamespaceHelpers, nested: Nested) => Promise<void>) {
  return async (t: Test) =>
    withHelpers(t, async (helpers) => {
      using namespaces = new Nested();
      await body(t, helpers, namespaces);
    });
}

t.test(
  'maps are opened in the namespace above, and written with its ids, once',
  needsRoot,
  nested(async (t, helpers, namespaces) => {
    const written = (kind: IdMapKind, outside: number) =>
      firstValueFrom(
        open(helpers, namespaces).pipe(tap(({ writeMap }) => writeMap(kind, { inside: 5, outside, count: 1 }))),
      );
    await written('uid_map', 0);
    await t.rejects(written('uid_map', 0), { code: 'EPERM' });
    await t.rejects(written('gid_map', 1), { code: 'EPERM' });
    t.equal(namespaces.map, `5 ${UID} 1`);
  }),
);

t.test(
  'a namespace that can not be entered is an error',
  needsRoot,
  nested(async (t, { loop, launcher }, { directory }) => {
    for (const fd of [0, 1]) {
      await t.rejects(
        firstValueFrom(openMaps(loop, launcher, fd, directory.number)),
        /no process could enter the user namespace/,
      );
    }
  }),
);

t.test(
  'who leaves before they are open leaves nothing behind',
  needsRoot,
  nested(async (t, helpers, namespaces) => {
    for (let count = 0; count < 10; count++) open(helpers, namespaces).subscribe().unsubscribe();
    t.ok(await firstValueFrom(open(helpers, namespaces)), 'the next one is not kept waiting');
  }),
);

t.test(
  'many at once get each their own',
  needsRoot,
  nested(async (t, helpers, namespaces) => {
    const others = Array.from({ length: 10 }, () => new Nested());
    try {
      const write = (one: Nested, inside: number) =>
        firstValueFrom(
          open(helpers, one).pipe(tap(({ writeMap }) => writeMap('uid_map', { inside, outside: 0, count: 1 }))),
        );
      await Promise.all([namespaces, ...others].map(write));
      t.strictSame(
        [namespaces, ...others].map(({ map }) => map),
        Array.from({ length: 11 }, (_, index) => `${index} ${UID} 1`),
      );
    } finally {
      for (const other of others) other[Symbol.dispose]();
    }
  }),
);

t.test(
  'the owner of the namespace above may stop who opens them: then it takes too long, and that is all',
  needsRoot,
  nested(async (t, helpers, namespaces) => {
    {
      using stopper = new Stopper(helpers.launcher);
      await stopper.runs;
      for (let count = 0; count < 20; count++) {
        const outcome = await firstValueFrom(open(helpers, namespaces)).catch((error: unknown) => error);
        t.ok(!(outcome instanceof Error) || isSystemError(outcome, 'ETIMEDOUT'), String(outcome));
      }
    }
    t.ok(await firstValueFrom(open(helpers, namespaces)), 'the next one is not kept waiting');
  }),
);

t.test(
  'when the launcher is killed who waits for it gets an error, and the next one another launcher',
  needsRoot,
  nested(async (t, helpers, namespaces) => {
    const { pid = 0 } = helpers.launcher;
    process.kill(pid, 'SIGSTOP');
    const waits = firstValueFrom(open(helpers, namespaces));
    process.kill(pid, 'SIGKILL');
    await t.rejects(waits, { code: 'ECONNRESET' });
    t.ok(await firstValueFrom(open(helpers, namespaces)));
  }),
);
