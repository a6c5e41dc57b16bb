import { readFileSync, writeFileSync } from 'node:fs';
import { namespaceResource, parseDelegation } from '@sdrx/daemon';
import { namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, given, invalid, keptFiles, linesOf, refused, USERNS } from '../support/allocation.js';
import { callAs } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { below, UserNamespace } from '../support/user-namespace.js';

const METHOD = namespaceResource.methods.AllocateUserRange.name;
const FOREIGN = '2147352576 2147352576 65536';

/** The first ids of the ranges that a namespace may give away, as its map has them. */
function delegatesOf(namespace: UserNamespace): number[] {
  const lines = linesOf(namespace).map((line) => line.split(' ').map(Number));
  return lines.flatMap(([inside = 0, outside, count]) =>
    inside === outside && count === 65_536 && inside < 0x7000_0000 && inside >= 0x8_0000 ? [inside] : [],
  );
}

/** Who may give a range away, first the one that got it first. */
function holdersOf(daemon: Daemon, start: number): readonly number[] | undefined {
  return parseDelegation(readFileSync(`${daemon.registryDirectory}/u${start}.delegate`, 'utf8'))?.holders;
}

function inodeOf(namespace: UserNamespace): number {
  using fd = namespace.open();
  return namespaceInode(fd.number);
}

/** Asks as root, for a namespace; see `allocate`. */
function ask(daemon: Daemon, namespace: UserNamespace, name: string, more: Readonly<Record<string, unknown>> = {}) {
  using fd = namespace.open();
  return allocate(daemon, fd, name, more);
}

t.test('ranges for namespaces within', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await t.test('leave nothing behind', leavingNoTrace(daemon, allTests));

  async function allTests(t: Test): Promise<void> {
    const test = (name: string, body: (t: Test, namespace: UserNamespace) => Promise<unknown>) =>
      t.test(name, async (t) => {
        using namespace = new UserNamespace();
        await body(t, namespace);
        await namespace.end();
      });

    await test('have the same numbers inside, and are registered as systemd 262 does it', async (t, namespace) => {
      t.strictSame(await ask(daemon, namespace, 'three', { delegateContainerRanges: 3 }), given('three'));
      const lines = linesOf(namespace);
      t.strictSame(linesOf(namespace, 'gid_map'), lines);
      t.equal(lines.length, 4);
      const starts = delegatesOf(namespace);
      t.equal(new Set(starts).size, 3);
      const userns = inodeOf(namespace);
      const entry = JSON.parse(readFileSync(`${daemon.registryDirectory}/i${userns}.userns`, 'utf8'));
      const delegates = starts.map((start) => ({ userns, start, startGid: start, size: 65_536 }));
      t.strictSame(entry.delegates, delegates);
      t.notOk('setgroupsDeny' in entry);
      for (const [index, start] of starts.entries()) {
        const file = readFileSync(`${daemon.registryDirectory}/u${start}.delegate`, 'utf8');
        t.strictSame(JSON.parse(file), delegates[index]);
        t.equal(readFileSync(`${daemon.registryDirectory}/g${start}.delegate`, 'utf8'), file);
      }
    });

    await test('can be 16, and none', async (t, namespace) => {
      t.strictSame(
        await ask(daemon, namespace, 'many', { delegateContainerRanges: 16, mapForeign: true }),
        given('many'),
      );
      t.equal(linesOf(namespace).length, 18);
      using other = new UserNamespace();
      t.strictSame(await ask(daemon, other, 'none', { delegateContainerRanges: 0, mapForeign: false }), given('none'));
      t.equal(linesOf(other).length, 1);
      await other.end();
    });

    await test('are refused where they are too many, before the namespace is looked at', async (t, namespace) => {
      for (const [more, reply] of [
        [{ delegateContainerRanges: 17 }, refused('TooManyDelegations')],
        [{ delegateContainerRanges: 2 ** 32 - 1, [USERNS]: 5 }, refused('TooManyDelegations')],
        [{ delegateContainerRanges: 17, target: 65_535 }, invalid('target')],
        [{ delegateContainerRanges: 17, size: 3 }, invalid('size')],
        [{ delegateContainerRanges: -1 }, invalid('delegateContainerRanges')],
        [{ delegateContainerRanges: 2 ** 32 }, invalid('delegateContainerRanges')],
        [{ delegateContainerRanges: 1.5 }, invalid('delegateContainerRanges')],
        [{ delegateContainerRanges: 'all' }, invalid('delegateContainerRanges')],
        [{ mapForeign: 1 }, invalid('mapForeign')],
        [{ mapForeign: 'yes' }, invalid('mapForeign')],
      ] as const)
        t.strictSame(await ask(daemon, namespace, 'odd', more), reply, JSON.stringify(more));
      t.strictSame(linesOf(namespace), []);
    });

    await test('come with ids of files in images, and with one id, be it the own one', async (t, namespace) => {
      t.strictSame(await ask(daemon, namespace, 'foreign', { mapForeign: true }), given('foreign'));
      t.equal(linesOf(namespace).at(-1), FOREIGN);
      t.equal(linesOf(namespace, 'gid_map').at(-1), FOREIGN);
      using other = new UserNamespace();
      const more = { size: 1, type: 'self', delegateContainerRanges: 1, mapForeign: true };
      t.strictSame(await ask(daemon, other, 'self', more), given('self'));
      t.match(linesOf(other), ['0 0 1', /^(\d+) \1 65536$/, FOREIGN]);
      await other.end();
    });

    await test('are nobody else’s', async (t, namespace) => {
      await ask(daemon, namespace, 'first', { delegateContainerRanges: 16 });
      using other = new UserNamespace();
      await ask(daemon, other, 'second', { delegateContainerRanges: 16 });
      t.equal(new Set([...delegatesOf(namespace), ...delegatesOf(other)]).size, 32);
      await other.end();
    });
  }
});

t.test('a namespace within another one', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await t.test('leaves nothing behind', leavingNoTrace(daemon, allTests));

  async function allTests(t: Test): Promise<void> {
    /** A test with a namespace that may give two ranges away. */
    const test = (
      name: string,
      body: (t: Test, above: UserNamespace, delegates: readonly number[]) => Promise<unknown>,
      options = {},
    ) =>
      t.test(name, options, async (t) => {
        using above = new UserNamespace();
        const more = { delegateContainerRanges: 2, mapForeign: true };
        t.strictSame(await ask(daemon, above, 'above', more), given('above'));
        await body(t, above, delegatesOf(above));
        await above.end();
      });

    await test('gets one of the ranges that this one may give away', async (t, above, delegates) => {
      using nested = new UserNamespace(below(above, 0));
      t.strictSame(await ask(daemon, nested, 'nested'), given('nested'));
      const [line = ''] = linesOf(nested);
      t.strictSame(linesOf(nested, 'gid_map'), [line]);
      const start = Number(line.split(' ')[1]);
      t.ok(delegates.includes(start), line);
      t.equal(line, `0 ${start} 65536`);
      const entry = JSON.parse(readFileSync(`${daemon.registryDirectory}/u${start}.userns`, 'utf8'));
      t.match(entry, { owner: 0, name: 'nested', start, size: 65_536, target: 0 });
      t.strictSame(holdersOf(daemon, start), [inodeOf(above)], 'it may not give it away itself');
      await nested.end();
    });

    await test('belongs to a user of this one, who asks for it', async (t, above, delegates) => {
      const root = Number(linesOf(above)[0]?.split(' ')[1]);
      using nested = new UserNamespace(below(above, 3));
      using fd = nested.open();
      const parameters = { name: 'x', size: 65_536, [USERNS]: 0 };
      t.strictSame(callAs(root, daemon.socketPath, METHOD, parameters, [fd.number]), invalid(USERNS));
      const name = `${root + 3}-x`;
      t.strictSame(callAs(root + 3, daemon.socketPath, METHOD, parameters, [fd.number]), given(name));
      t.ok(delegates.includes(Number(linesOf(nested)[0]?.split(' ')[1])));
      fd.close();
      await nested.end();
    });

    await test('finds nothing when all are given away, and something when one is dead', async (t, above) => {
      const nested = Array.from({ length: 3 }, () => new UserNamespace(below(above, 0)));
      const [first, second, third] = nested;
      if (first === undefined || second === undefined || third === undefined) throw new Error('no namespaces');
      t.strictSame(await ask(daemon, first, 'first'), given('first'));
      t.strictSame(await ask(daemon, second, 'second'), given('second'));
      t.not(linesOf(first)[0], linesOf(second)[0]);
      t.strictSame(await ask(daemon, third, 'third'), refused('NoDynamicRange'));
      t.strictSame(linesOf(third), []);
      await t.test('and does not wait for that to be found out', numbersNamespaces, async (t) => {
        const [line] = linesOf(first);
        await first.end();
        t.strictSame(await ask(daemon, third, 'third'), given('third'));
        t.equal(linesOf(third)[0], line);
      });
      for (const namespace of nested) await namespace.end();
    });

    await test('may give a range on to the next one, and then has it no more', async (t, above, delegates) => {
      using middle = new UserNamespace(below(above, 0));
      t.strictSame(await ask(daemon, middle, 'middle', { size: 1, delegateContainerRanges: 1 }), failed('ESRCH', 3));
      t.strictSame(
        await ask(daemon, middle, 'middle', { delegateContainerRanges: 1, mapForeign: true }),
        given('middle'),
      );
      const [given1 = 0] = delegatesOf(middle);
      t.ok(delegates.includes(given1));
      t.equal(linesOf(middle).at(-1), FOREIGN);
      t.strictSame(holdersOf(daemon, given1), [inodeOf(above), inodeOf(middle)]);
      using sibling = new UserNamespace(below(above, 0));
      t.strictSame(await ask(daemon, sibling, 'sibling'), refused('NoDynamicRange'));
      using inner = new UserNamespace(below(middle, 0));
      t.strictSame(await ask(daemon, inner, 'inner'), given('inner'));
      t.equal(linesOf(inner)[0], `0 ${given1} 65536`);
      for (const namespace of [inner, sibling, middle]) await namespace.end();
      using late = new UserNamespace(below(above, 0));
      const more = { delegateContainerRanges: 1 };
      if (!('skip' in numbersNamespaces)) t.strictSame(await ask(daemon, late, 'late', more), given('late'));
      await late.end();
    });

    await test('gets no more than there is', async (t, above) => {
      using nested = new UserNamespace(below(above, 0));
      const more = { delegateContainerRanges: 2 };
      t.strictSame(await ask(daemon, nested, 'nested', more), refused('DynamicRangeUnavailable'));
      t.strictSame(linesOf(nested), []);
      t.notOk(keptFiles(daemon).some((file) => file.includes(String(inodeOf(nested)))));
      await nested.end();
    });

    await test('can be the own one of a user who has the same number everywhere', async (t, above, [delegate = 0]) => {
      const root = Number(linesOf(above)[0]?.split(' ')[1]);
      const parameters = { name: 'x', size: 1, type: 'self', [USERNS]: 0 };
      for (const [uid, inside, reply] of [
        [root, 0, failed('ERANGE', 34)],
        [delegate, delegate, given(`${delegate}-x`)],
      ] as const) {
        using nested = new UserNamespace(below(above, inside));
        using fd = nested.open();
        t.strictSame(callAs(uid, daemon.socketPath, METHOD, parameters, [fd.number]), reply);
        fd.close();
        await nested.end();
      }
    });
  }
});

t.test('ids that have other numbers in the namespace above are not given away', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  /** Asks for a namespace within one that has this map. */
  const within = async (map: string, more: Readonly<Record<string, unknown>> = {}) => {
    using above = new UserNamespace();
    for (const kind of ['uid_map', 'gid_map']) writeFileSync(`/proc/${above.child.pid}/${kind}`, map);
    using nested = new UserNamespace(below(above, 0));
    const reply = await ask(daemon, nested, 'nested', more);
    const lines = linesOf(nested);
    using fd = nested.open();
    t.equal(
      keptFiles(daemon).some((file) => file.includes(String(namespaceInode(fd.number)))),
      lines.length > 0,
    );
    fd.close();
    await nested.end();
    return [reply, lines];
  };
  t.strictSame(await within('0 0 1\n1048576 2097152 65536\n'), [failed('ESRCH', 3), []]);
  t.strictSame(await within('0 0 1\n1048576 1114112 65536\n1114112 1048576 65536'), [failed('ERANGE', 34), []]);
  t.strictSame(await within('0 0 1\n524288 524288 65535\n'), [refused('DynamicRangeUnavailable'), []]);
  t.strictSame(await within('0 0 65536\n', { size: 1, mapForeign: true }), [failed('ESRCH', 3), []]);
  const [reply, lines] = await within('0 0 65536\n1048576 1048576 65536\n');
  t.strictSame([reply, lines], [given('nested'), ['0 1048576 65536']]);
});
