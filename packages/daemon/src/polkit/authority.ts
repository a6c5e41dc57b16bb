import {
  duplicate,
  EIO,
  EPROTO,
  ETIMEDOUT,
  type Fd,
  isReadable,
  isSystemError,
  type PeerCredentials,
  pidfdOpen,
  SystemError,
} from '@sdrx/linux';
import { type Call, VarlinkError, varlinkService } from '@sdrx/varlink';
import { catchError, defer, finalize, map, type Observable, of } from 'rxjs';
import { BusError } from '../dbus/bus-error.js';
import type { Answer, MethodCall } from '../dbus/message.js';
import { NoBusError } from '../dbus/no-bus-error.js';
import type { SystemBus } from '../dbus/system-bus.js';
import { MalformedMessageError } from '../dbus/wire-reader.js';
import type { WireWriter } from '../dbus/wire-writer.js';
import type { Log } from '../program/log.js';
import type { Action, Details } from './action.js';

const AUTHORITY = {
  destination: 'org.freedesktop.PolicyKit1',
  path: '/org/freedesktop/PolicyKit1/Authority',
  interface: 'org.freedesktop.PolicyKit1.Authority',
};

/** Errors that say that nobody has the name, nor can be started to have it. */
const NO_POLKIT = [
  'org.freedesktop.DBus.Error.ServiceUnknown',
  'org.freedesktop.DBus.Error.NameHasNoOwner',
  'org.freedesktop.systemd1.NoSuchUnit',
  'org.freedesktop.systemd1.UnitMasked',
];

/** Errors of polkit's own that mean no. */
const REFUSALS = [
  'org.freedesktop.PolicyKit1.Error.Failed',
  'org.freedesktop.PolicyKit1.Error.Cancelled',
  'org.freedesktop.PolicyKit1.Error.NotAuthorized',
];

/** Errors of the bus that say that nobody answered. */
const NO_ANSWER = [
  'org.freedesktop.DBus.Error.NoReply',
  'org.freedesktop.DBus.Error.Timeout',
  'org.freedesktop.DBus.Error.TimedOut',
];

/** Whether somebody may do something; whether one might after an authentication. */
const RESULT = '(bba{ss})';

/** As systemd's daemons have it. */
const INTERACTIVE_AUTHENTICATION_REQUIRED = 'io.systemd.InteractiveAuthenticationRequired';

const { PermissionDenied } = varlinkService.errors;

/** Asks polkit who may do what. Where there is no polkit, everybody may. */
export class Authority {
  readonly #bus: SystemBus;
  readonly #log: Log;
  #questions = 0;
  /** Actions that polkit does not know, of which the log was told. */
  readonly #unknown = new Set<Action>();

  constructor(bus: SystemBus, log: Log) {
    this.#bus = bus;
    this.#log = log;
  }

  /**
   * Emits once if the client of a call may do something. To unsubscribe cancels the question.
   *
   * Fails with PermissionDenied; with InteractiveAuthenticationRequired if polkit would first have a password entered, for which
   * these methods have no parameter; and with a SystemError if polkit does not answer, or not as it should.
   */
  check(call: Pick<Call, 'peer' | 'peerPidfd'>, action: Action, details: Details): Observable<void> {
    return defer(() => {
      const id = `nsresourced-${++this.#questions}`;
      const cancel: MethodCall = {
        ...AUTHORITY,
        member: 'CancelCheckAuthorization',
        signature: 's',
        write: (body) => body.string(id),
      };
      let client: Fd | undefined;
      const prepare = () => {
        client = openClient(call);
        return { fds: [duplicate(client.number)], cancel };
      };
      return this.#bus.call(checkAuthorization(call.peer, action, details, id), prepare).pipe(
        map((answer) => {
          requireAuthorized(answer);
          // So the id was that of no other process meanwhile.
          if (client === undefined || isReadable(client.number)) throw PermissionDenied();
        }),
        catchError((error: unknown) => {
          this.#require(error, action);
          return of(undefined);
        }),
        finalize(() => client?.close()),
      );
    });
  }

  /** Throws what a question that failed means, unless it is that there is no polkit, or that it does not know the action. */
  #require(error: unknown, action: Action): void {
    if (error instanceof NoBusError) return;
    if (!(error instanceof BusError)) throw error;
    if (NO_POLKIT.includes(error.error)) return;
    if (REFUSALS.includes(error.error)) {
      if (!error.text.includes(`${action} is not registered`)) throw PermissionDenied();
      this.#warnOf(action);
      return;
    }
    throw new SystemError(NO_ANSWER.includes(error.error) ? ETIMEDOUT : EIO, 'CheckAuthorization', error.message);
  }

  #warnOf(action: Action): void {
    if (this.#unknown.has(action)) return;
    this.#unknown.add(action);
    this.#log.notice(`polkit does not know ${action}, so everybody may: sdrx-nsresourced.policy is not installed`);
  }
}

/** The question, with which a pidfd of the client goes. @param id by which it can be cancelled */
function checkAuthorization(peer: PeerCredentials, action: Action, details: Details, id: string): MethodCall {
  const write = (body: WireWriter): void => {
    const entry = (key: string, type: string, value: () => void) =>
      body.struct(() => body.string(key).variant(type, value));
    body.struct(() => {
      body.string('unix-process').array(8, () => {
        entry('pidfd', 'h', () => body.uint32(0));
        // Before polkit 124, which knows no pidfds, the id counts. A start time of 0 has polkit look for it.
        entry('pid', 'u', () => body.uint32(peer.pid));
        entry('start-time', 't', () => body.uint64(0n));
        entry('uid', 'i', () => body.int32(peer.uid | 0));
      });
    });
    body.string(action).array(8, () => {
      for (const [key, value] of Object.entries(details)) body.struct(() => body.string(key).string(value));
    });
    // No flags: there is nobody to enter a password.
    body.uint32(0).string(id);
  };
  return { ...AUTHORITY, member: 'CheckAuthorization', signature: '(sa{sv})sa{ss}us', write };
}

/** Throws unless the answer says that the client may. */
function requireAuthorized({ signature, body }: Answer): void {
  if (signature !== RESULT) throw new SystemError(EPROTO, 'CheckAuthorization', `an answer of type '${signature}'`);
  try {
    body.align(8);
    const [authorized, challenge] = [body.boolean(), body.boolean()];
    if (authorized) return;
    if (challenge) throw VarlinkError.asAnswer(INTERACTIVE_AUTHENTICATION_REQUIRED);
  } catch (error) {
    if (error instanceof MalformedMessageError) throw new SystemError(EPROTO, 'CheckAuthorization', error.message);
    throw error;
  }
  throw PermissionDenied();
}

/**
 * The process that connected. Before Linux 6.5 it is known by its id alone, which another one may have by now: that can make polkit
 * take it for part of another session, but not for another user, whom we tell ourselves.
 * Throws PermissionDenied if it is gone.
 */
function openClient(call: Pick<Call, 'peer' | 'peerPidfd'>): Fd {
  try {
    return call.peerPidfd() ?? pidfdOpen(call.peer.pid);
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) throw PermissionDenied();
    throw error;
  }
}
