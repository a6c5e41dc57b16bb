import type { LogLevel } from '@sdrx/event';
import { LOG_LEVELS } from '@sdrx/event';
import { checkFunction, checkObject, type PeerCredentials } from '@sdrx/linux';
import * as t from 'io-ts';
import { intBetween } from '../codecs.js';
import { varlinkInterface } from '../interface.js';
import { type Implementation, implement } from '../service.js';
import { varlinkService } from '../service-interface.js';
import { field, optional } from '../struct.js';
import { NO_TEXT } from '../text.js';

const Level = intBetween(0, LOG_LEVELS.length - 1);

/** What systemd's daemons can be told to do, whatever else they do. systemd.io/VARLINK */
export const serviceInterface = varlinkInterface({
  name: 'io.systemd.service',
  description: 'What a service can be told to do, whatever else it does.',
  methods: {
    Ping: { description: 'Answers if the service runs.' },
    Reload: {
      description: 'Has the service read its configuration anew, and answers when that is done.',
      parameters: {
        allowInteractiveAuthentication: optional(t.boolean, 'Whether the user may be asked for a password'),
      },
    },
    SetLogLevel: {
      description: 'Sets up to which level the service logs.',
      parameters: { level: optional(Level, 'From 0, emergencies, to 7, what is for debugging; syslog(3)') },
    },
    GetLogLevel: {
      description: 'Up to which level the service logs.',
      reply: { level: field(Level, 'As of SetLogLevel') },
    },
    GetEnvironment: {
      description: 'The environment that the service has.',
      reply: { environment: optional(t.array(t.string), 'As NAME=value') },
    },
  },
  errors: { InconsistentEnvironment: { description: 'The environment has something that is no text.' } },
});

/** What a service lets others control; what is left out is answered by MethodNotImplemented. */
export interface ServiceControlOptions {
  /** Reads the configuration anew. The reply waits for it; what it throws is the reply, as of any handler. */
  readonly reload?: () => void | Promise<void>;
  /** What has the level: a `Journal` of @sdrx/event, or anything alike. */
  readonly log?: { level: LogLevel };
  /** Sets the level, by default of `log`. For a service of several processes. */
  readonly setLogLevel?: (level: LogLevel) => void | Promise<void>;
  /** Who may reload, set the level and see the environment. By default root, and who has the service's own user. */
  readonly mayControl?: (peer: PeerCredentials) => boolean;
}

/**
 * Implements `io.systemd.service`, for `service`: anybody may call Ping and GetLogLevel, and only who `mayControl` the rest.
 * @throws TypeError for a wrong option, by its name
 */
export function serviceControl(options: ServiceControlOptions = {}): Implementation {
  checkObject('options', options);
  const { reload, log, setLogLevel, mayControl = isOwn } = options;
  if (log !== undefined) checkObject('log', log);
  for (const [name, given] of Object.entries({ reload, setLogLevel })) {
    if (given !== undefined) checkFunction(name, given);
  }
  checkFunction('mayControl', mayControl);
  const require = ({ peer }: { readonly peer: PeerCredentials }) => {
    if (!mayControl(peer)) throw varlinkService.errors.PermissionDenied();
  };
  const set =
    setLogLevel ??
    (log &&
      ((level: LogLevel) => {
        log.level = level;
      }));
  return implement(serviceInterface, {
    Ping: () => {},
    ...(reload && {
      Reload: async (_, call) => {
        require(call);
        await reload();
      },
    }),
    ...(set && {
      SetLogLevel: async ({ level }, call) => {
        const name = LOG_LEVELS[level ?? -1];
        if (name === undefined) throw varlinkService.errors.InvalidParameter({ parameter: 'level' });
        require(call);
        await set(name);
      },
    }),
    ...(log && { GetLogLevel: () => ({ level: LOG_LEVELS.indexOf(log.level) }) }),
    GetEnvironment: (_, call) => {
      require(call);
      return { environment: environment() };
    },
  });
}

function isOwn({ uid }: PeerCredentials): boolean {
  return uid === 0 || uid === process.getuid?.();
}

/** Node has U+FFFD for what is no UTF-8. @throws InconsistentEnvironment */
function environment(): string[] {
  return Object.entries(process.env).map(([name, value = '']) => {
    const entry = `${name}=${value}`;
    if (NO_TEXT.test(entry) || entry.includes('\ufffd')) throw serviceInterface.errors.InconsistentEnvironment();
    return entry;
  });
}
