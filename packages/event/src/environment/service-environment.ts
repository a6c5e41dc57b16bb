import { lstatSync } from 'node:fs';
import { checkObject, isSystemError } from '@sdrx/linux';
import { type JournalStream, journalStream } from '../journal/journal-stream.js';
import {
  AbsolutePath,
  Decimal,
  type Decoder,
  EnvironmentError,
  readEnvironment,
  textDecoder,
} from '../kernel/environment.js';
import { fdStoreLimit } from '../service/fd-store.js';
import { Credentials } from './credentials.js';
import { type ProcessUnit, unitOfThisProcess } from './unit-of.js';

/** What had a unit be started. TRIGGER_UNIT and what goes with it, since systemd 252. */
export interface ServiceTrigger {
  /** The unit, a timer's or a path's. */
  readonly unit: string;
  /** The path that a path unit was told of. */
  readonly path?: string;
  /** When a timer with OnCalendar= elapsed, in milliseconds of CLOCK_REALTIME. */
  readonly realtime?: number;
  /** When another timer elapsed, in milliseconds of CLOCK_MONOTONIC. */
  readonly monotonic?: number;
}

/** Who is at the other end of a connection. */
export interface RemotePeer {
  /** An address of IPv4 or IPv6. REMOTE_ADDR */
  readonly address: string;
  /** REMOTE_PORT */
  readonly port: number | undefined;
}

/** How a service ended: what ExecStop= and ExecStopPost= are told, and the unit that OnFailure= starts. */
export interface ServiceResult {
  /** `success`, `exit-code`, `signal`, `timeout`, `watchdog`, `oom-kill` and so on. SERVICE_RESULT */
  readonly result: string;
  /** How its main process ended; undefined while it runs, and where it has not been started. EXIT_CODE */
  readonly code: 'exited' | 'killed' | 'dumped' | undefined;
  /** Its exit status, or the name of its signal, `TERM` say. EXIT_STATUS */
  readonly status: number | string | undefined;
}

/** The unit of which OnFailure= or OnSuccess= tells. */
export interface MonitoredService extends ServiceResult {
  /** Its name. MONITOR_UNIT */
  readonly unit: string;
  /** Which of its runs it was. MONITOR_INVOCATION_ID */
  readonly invocation: string | undefined;
}

/** Folders that a unit has, by the settings that name them. An empty list where it has none. */
export interface ServiceDirectories {
  /** RuntimeDirectory=, which goes when the service ends. */
  readonly runtime: readonly string[];
  /** StateDirectory=. */
  readonly state: readonly string[];
  /** CacheDirectory=. */
  readonly cache: readonly string[];
  /** LogsDirectory=. */
  readonly logs: readonly string[];
  /** ConfigurationDirectory=. */
  readonly configuration: readonly string[];
}

const Id128 = textDecoder('32 hexadecimal digits', (text) =>
  /^[0-9a-f]{32}$/i.test(text) ? text.toLowerCase() : undefined,
);
const UnitName = textDecoder('the name of a unit', (text) => (/^[^\s/]{1,255}$/.test(text) ? text : undefined));
const Pid = textDecoder("a process's id", (text) =>
  /^[1-9]\d{0,9}$/.test(text) && Number(text) < 2 ** 31 ? Number(text) : undefined,
);
const Port = textDecoder('a port number', (text) =>
  /^\d{1,5}$/.test(text) && Number(text) < 2 ** 16 ? Number(text) : undefined,
);
const Word = textDecoder('a word', (text) => (/^[a-z-]{1,64}$/.test(text) ? text : undefined));
const Code = textDecoder('exited, killed or dumped', (text) =>
  (['exited', 'killed', 'dumped'] as const).find((code) => code === text),
);
const Status = textDecoder("an exit status or a signal's name", (text) => {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  return /^(?:SIG)?[A-Z][A-Z0-9+-]{0,15}$/.test(text) ? text : undefined;
});
const Text = textDecoder('not empty', (text) => (text === '' ? undefined : text));
/** Systemd puts a colon between them, and refuses to make one that has a colon in its name. */
const Paths = textDecoder('absolute paths with colons between them', (text) => {
  const paths = text.split(':');
  return paths.every((path) => /^\/[^\0]*$/.test(path)) ? paths : undefined;
});

/**
 * What systemd tells a process that it starts, and what can be told of the process beside. Each member is read when it is asked for,
 * so that a variable which is malformed is an EnvironmentError to those only who need it.
 *
 * All but `booted`, `unit` and the other names of units are variables, which the process's own children inherit, too:
 * `isMainProcess` tells whether systemd started this very process. systemd.exec(5)
 */
export class ServiceEnvironment {
  readonly #environment: NodeJS.ProcessEnv;

  /** @ignore */
  constructor(environment: NodeJS.ProcessEnv) {
    this.#environment = environment;
  }

  /** Whether this system was booted with systemd. sd_booted(3) */
  get booted(): boolean {
    try {
      return lstatSync('/run/systemd/system').isDirectory();
    } catch (error) {
      if (isSystemError(error)) return false;
      throw error;
    }
  }

  /** The unit that this process is in; undefined where systemd has not put it into one. sd_pid_get_unit(3) */
  get unit(): string | undefined {
    return this.#unit.unit;
  }

  /** The unit of the user's service manager that it is in, if it is in one. sd_pid_get_user_unit(3) */
  get userUnit(): string | undefined {
    return this.#unit.userUnit;
  }

  /** The slice that it is in, `-.slice` at the top, also where it is in no unit. sd_pid_get_slice(3) */
  get slice(): string | undefined {
    return this.#unit.slice;
  }

  /** The login session that it is in, if it was started by a login. sd_pid_get_session(3) */
  get session(): string | undefined {
    return this.#unit.session;
  }

  /** Whether systemd has started this process itself: SYSTEMD_EXEC_PID, since systemd 248. */
  get isMainProcess(): boolean {
    return this.#read('SYSTEMD_EXEC_PID', Pid) === process.pid;
  }

  /** Which of its unit's runs this is, 32 hexadecimal digits: the journal has it as _SYSTEMD_INVOCATION_ID. INVOCATION_ID */
  get invocation(): string | undefined {
    return this.#read('INVOCATION_ID', Id128);
  }

  /** Whether the service was started to find out why it has failed. DEBUG_INVOCATION, since systemd 257 */
  get debug(): boolean {
    return this.#environment.DEBUG_INVOCATION === '1';
  }

  /** What had the unit be started, if a timer or path unit has. */
  get trigger(): ServiceTrigger | undefined {
    const unit = this.#read('TRIGGER_UNIT', UnitName);
    if (unit === undefined) return undefined;
    const path = this.#read('TRIGGER_PATH', AbsolutePath);
    const realtime = this.#milliseconds('TRIGGER_TIMER_REALTIME_USEC');
    const monotonic = this.#milliseconds('TRIGGER_TIMER_MONOTONIC_USEC');
    return {
      unit,
      ...(path !== undefined && { path }),
      ...(realtime !== undefined && { realtime }),
      ...(monotonic !== undefined && { monotonic }),
    };
  }

  /** Its folders. RUNTIME_DIRECTORY, STATE_DIRECTORY, CACHE_DIRECTORY, LOGS_DIRECTORY, CONFIGURATION_DIRECTORY */
  get directories(): ServiceDirectories {
    const paths = (variable: string) => this.#read(variable, Paths) ?? [];
    return {
      runtime: paths('RUNTIME_DIRECTORY'),
      state: paths('STATE_DIRECTORY'),
      cache: paths('CACHE_DIRECTORY'),
      logs: paths('LOGS_DIRECTORY'),
      configuration: paths('CONFIGURATION_DIRECTORY'),
    };
  }

  /** Its credentials, if it has any. CREDENTIALS_DIRECTORY */
  get credentials(): Credentials | undefined {
    const directory = this.#read('CREDENTIALS_DIRECTORY', AbsolutePath);
    return directory === undefined ? undefined : new Credentials(directory);
  }

  /** As `fdStoreLimit`. FDSTORE, since systemd 254 */
  get fdStoreLimit(): number | undefined {
    return fdStoreLimit(this.#environment);
  }

  /** The file by which the journal reads what the service prints; `isJournalStream` compares a descriptor with it. JOURNAL_STREAM */
  get journalStream(): JournalStream | undefined {
    return journalStream(this.#environment);
  }

  /** The journal namespace that the service logs to, if it has one. LOG_NAMESPACE */
  get logNamespace(): string | undefined {
    return this.#read('LOG_NAMESPACE', Text);
  }

  /** The service manager that has started the process, if that is a user's. MANAGERPID */
  get managerPid(): number | undefined {
    return this.#read('MANAGERPID', Pid);
  }

  /** The service's main process, for the programs of ExecReload=, ExecStop= and the like. MAINPID */
  get mainPid(): number | undefined {
    return this.#read('MAINPID', Pid);
  }

  /** PIDFile= of the unit. PIDFILE */
  get pidFile(): string | undefined {
    return this.#read('PIDFILE', AbsolutePath);
  }

  /** Who has connected, where each connection has a process (Accept=yes); IPv4 and IPv6 only. REMOTE_ADDR, REMOTE_PORT */
  get remote(): RemotePeer | undefined {
    const address = this.#read('REMOTE_ADDR', Text);
    return address === undefined ? undefined : { address, port: this.#read('REMOTE_PORT', Port) };
  }

  /** How the service ended, for the programs of ExecStop= and ExecStopPost=. SERVICE_RESULT, EXIT_CODE, EXIT_STATUS */
  get result(): ServiceResult | undefined {
    return this.#result('SERVICE_RESULT', 'EXIT_CODE', 'EXIT_STATUS');
  }

  /** How another service ended, for a unit that OnFailure= or OnSuccess= has started. MONITOR_UNIT and so on, since systemd 251 */
  get monitored(): MonitoredService | undefined {
    const unit = this.#read('MONITOR_UNIT', UnitName);
    if (unit === undefined) return undefined;
    const result = this.#result('MONITOR_SERVICE_RESULT', 'MONITOR_EXIT_CODE', 'MONITOR_EXIT_STATUS');
    if (result === undefined)
      throw new EnvironmentError('MONITOR_SERVICE_RESULT', undefined, 'set where MONITOR_UNIT is');
    return { unit, invocation: this.#read('MONITOR_INVOCATION_ID', Id128), ...result };
  }

  get #unit(): ProcessUnit {
    return unitOfThisProcess();
  }

  #result(result: string, code: string, status: string): ServiceResult | undefined {
    const word = this.#read(result, Word);
    if (word === undefined) return undefined;
    return { result: word, code: this.#read(code, Code), status: this.#read(status, Status) };
  }

  #milliseconds(variable: string): number | undefined {
    const microseconds = this.#read(variable, Decimal);
    return microseconds === undefined ? undefined : microseconds / 1e3;
  }

  #read<A>(variable: string, decoder: Decoder<A>): A | undefined {
    return readEnvironment(this.#environment, variable, decoder);
  }
}

/**
 * What systemd tells this process of its unit, typed.
 * @example
 * const { credentials, directories } = serviceEnvironment();
 * const [state = '.'] = directories.state;
 * const password = credentials?.text('password');
 */
export function serviceEnvironment(environment: NodeJS.ProcessEnv = process.env): ServiceEnvironment {
  checkObject('environment', environment);
  return new ServiceEnvironment(environment);
}
