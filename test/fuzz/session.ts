import type { EventLoop } from '@sdrx/event';
import { close, connect, EPOLLIN, EPOLLOUT, isSystemError, ReceiveBuffer, sendMessage, unixSocket } from '@sdrx/linux';
import fc from 'fast-check';
import { Observable } from 'rxjs';
import type { FdKind } from './fd-kinds.js';
import { anyMessage } from './messages.js';
import { type Arrival, isAllowed, type Rules, type Verdict } from './rules.js';

/** The last call of each session, which shows that all before is answered. */
const LAST = 'fuzz.Last';
const LAST_CALL = Buffer.from(`{"method":"${LAST}"}\0`);

/** Bytes that are sent at once, up to `end`, and which descriptors with them. */
export interface Piece {
  readonly end: number;
  readonly fds: readonly number[];
}

/** All that one connection sends: bytes, how they are cut, and descriptors by their index among all kinds. */
export interface SessionPlan {
  readonly uid: number;
  readonly bytes: Buffer;
  /** Up to all of the bytes. */
  readonly pieces: readonly Piece[];
}

/** A place between bytes, as a fraction; descriptors by numbers that are taken modulo the kinds. */
const cut = fc.double({ min: 0, max: 1, noNaN: true });

/** @param kinds how many kinds of descriptors there are @param uids who may connect */
export function anySession(kinds: number, uids: readonly number[]): fc.Arbitrary<SessionPlan> {
  const fdsOf = (count: number) => fc.array(fc.nat(kinds - 1), { minLength: count, maxLength: count });
  const message = anyMessage.chain((message) =>
    fc.record({
      bytes: fc.constant(message.bytes),
      fds: fdsOf(message.fds),
      cuts: fc.oneof(
        { weight: 3, arbitrary: fc.constant<number[]>([]) },
        { weight: 1, arbitrary: fc.array(cut, { maxLength: 4 }) },
      ),
      at: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: cut }),
      together: fc.boolean(),
    }),
  );
  return fc
    .record({ uid: fc.constantFrom(...uids), messages: fc.array(message, { minLength: 1, maxLength: 12 }) })
    .map(({ uid, messages }) => {
      const parts: Buffer[] = [];
      const pieces: Piece[] = [];
      let size = 0;
      for (const { bytes, fds, cuts, at, together } of messages) {
        const start = size;
        const whole = Buffer.concat([bytes, Buffer.of(0)]);
        parts.push(whole);
        size += whole.length;
        const places = cuts
          .map((place) => start + Math.max(1, Math.floor(place * whole.length)))
          .filter((place) => place < size);
        const fdPlace = at === undefined ? size : start + Math.max(1, Math.floor(at * whole.length));
        const ends = [...new Set([...places, ...(fds.length > 0 ? [fdPlace, size] : together ? [] : [size])])].sort(
          (a, b) => a - b,
        );
        // Descriptors go with bytes of their own message only, so that it is theirs whatever is received at once.
        if (fds.length > 0 && start > 0 && pieces.at(-1)?.end !== start) pieces.push({ end: start, fds: [] });
        for (const end of ends) pieces.push({ end, fds: end === fdPlace ? fds : [] });
      }
      const bytes = Buffer.concat([...parts, LAST_CALL]);
      return { uid, bytes, pieces: [...pieces, { end: bytes.length, fds: [] }] };
    });
}

/** What is to come of a session, message by message, up to the one that ends its connection. */
function expect({ bytes, pieces, uid }: SessionPlan, kinds: readonly FdKind[], rules: Rules): Verdict[] {
  const verdicts: Verdict[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    const fds = pieces
      .filter((piece) => piece.end > start && piece.end <= end + 1)
      .flatMap((piece) => piece.fds.map((fd) => ({ after: piece.end - start, kind: kinds[fd] as FdKind })));
    const arrival: Arrival = { bytes: bytes.subarray(start, end), fds, uid };
    const verdict = rules.judge(arrival);
    verdicts.push(verdict);
    if (verdict.ends) break;
    start = end + 1;
  }
  return verdicts;
}

/** What went wrong, or how a session ended. */
export type Outcome = 'right' | 'cut short' | { readonly wrong: string };

/** Plays a session; what it emits is its outcome. It speaks while the loop runs. */
export function play(
  loop: EventLoop,
  path: string,
  plan: SessionPlan,
  kinds: readonly FdKind[],
  rules: Rules,
): Observable<Outcome> {
  return new Observable((subscriber) => {
    const verdicts = expect(plan, kinds, rules);
    const socket = unixSocket();
    subscriber.add(() => socket.close());
    connectAs(plan.uid, socket.number, path);
    const replies: string[] = [];
    const buffer = new ReceiveBuffer(65536);
    let rest = '';
    let sent = 0;
    let next = 0;
    const finish = (outcome: Outcome) => {
      subscriber.next(outcome);
      subscriber.complete();
    };
    const look = (ended: boolean) => {
      const outcome = compare(verdicts, replies, ended);
      if (outcome !== undefined) finish(outcome);
    };
    const send = () => {
      try {
        for (let piece = plan.pieces[next]; piece !== undefined; piece = plan.pieces[next]) {
          // Those of a piece that is not taken at once go with its first byte.
          const begun = sent > (plan.pieces[next - 1]?.end ?? 0);
          const fds = begun ? [] : piece.fds.map((fd) => (kinds[fd] as FdKind).fd);
          const count = sendMessage(socket.number, plan.bytes.subarray(sent, piece.end), { fds });
          if (count === undefined) return;
          sent += count;
          if (sent < piece.end) return;
          next++;
        }
      } catch (error) {
        if (!isSystemError(error, 'EPIPE', 'ECONNRESET')) throw error;
      }
      writing.unsubscribe();
    };
    const receive = () => {
      const fds: number[] = [];
      let count: number | undefined = 0;
      try {
        count = buffer.receive(socket.number, fds);
      } catch (error) {
        if (!isSystemError(error, 'ECONNRESET')) throw error;
      }
      fds.forEach(close);
      const parts = (rest + buffer.bytes.toString('latin1', 0, count ?? 0)).split('\0');
      rest = parts.pop() ?? '';
      replies.push(...parts.map((part) => Buffer.from(part, 'latin1').toString()));
      look(count === 0);
    };
    const writing = loop.io(socket.number, { events: EPOLLOUT }).subscribe(send);
    subscriber.add(writing);
    subscriber.add(loop.io(socket.number, { events: EPOLLIN }).subscribe(receive));
  });
}

/** @returns undefined while more is to come */
function compare(verdicts: readonly Verdict[], replies: readonly string[], ended: boolean): Outcome | undefined {
  const expected = verdicts.filter(({ allowed }) => allowed.length > 0);
  const wrong = replies.findIndex((reply, index) => !isAllowed(reply, expected[index]?.allowed ?? []));
  if (wrong >= 0) {
    const allowed = expected[wrong]?.allowed.map(({ check: _, ...each }) => each);
    return { wrong: `reply ${wrong} is ${replies[wrong]}, not one of ${JSON.stringify(allowed)}` };
  }
  const mustEnd = verdicts.at(-1)?.ends === true;
  if (replies.length < expected.length) return ended ? 'cut short' : undefined;
  if (!mustEnd) return 'right';
  return ended ? 'right' : undefined;
}

/** Connects as another user: who that is the kernel notes at connect(2). */
function connectAs(uid: number, socket: number, path: string): void {
  if (uid !== 0) process.seteuid?.(uid);
  try {
    connect(socket, path);
  } finally {
    if (uid !== 0) process.seteuid?.(0);
  }
}
