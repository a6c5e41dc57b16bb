import { isSystemError, readKernelFile } from '@sdrx/linux';

/** The unit that a process belongs to, as its control group tells it. sd_pid_get_unit(3) */
export interface ProcessUnit {
  /** The system's unit: `greeter.service`, or `user@1000.service` for all that a user's own service manager has started. */
  readonly unit: string | undefined;
  /** The unit of the user's service manager, if it is that one's. */
  readonly userUnit: string | undefined;
  /** The slice that it is in, `-.slice` at the top, also where it is in no unit. */
  readonly slice: string | undefined;
  /** The login session, if it was started by a login rather than by a service manager. */
  readonly session: string | undefined;
}

const NONE: ProcessUnit = { unit: undefined, userUnit: undefined, slice: undefined, session: undefined };

/** What a unit is called. systemd.unit(5) */
const UNIT =
  /^(?=.{1,255}$)[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap|target|device|automount|timer|path|slice)$/;

const SLICE = /^(?:-|[^-].*[^-]|[^-])\.slice$/;

/** Where the first process of a system is, below the control group that the system has. */
const FIRST_PROCESS = /\/(?:init\.scope|system\.slice|system)$/;

/** Reads it of this process. Nothing is known where the control groups are not systemd's, or there is no /proc. */
export function unitOfThisProcess(): ProcessUnit {
  const own = pathOf('self');
  if (own === undefined) return NONE;
  // In a container, whose groups are below one of the host's.
  const top = pathOf(1)?.replace(FIRST_PROCESS, '') ?? '';
  return unitOf(own === top || own.startsWith(`${top}/`) ? own.slice(top.length) : own);
}

/** @param path of a control group, from the system's own one on */
export function unitOf(path: string): ProcessUnit {
  const names = path.split('/').filter((name) => name !== '');
  const slice = takeSlices(names);
  const [unit] = takeUnit(names);
  if (unit === undefined) return { ...NONE, slice };
  const [, session] = /^session-([A-Za-z0-9]+)\.scope$/.exec(unit) ?? [];
  // Whatever is below those of a user's manager is its own affair.
  if (!/^user@\d+\.service$/.test(unit)) return { unit, userUnit: undefined, slice, session };
  takeSlices(names);
  return { unit, userUnit: takeUnit(names)[0], slice, session: undefined };
}

/** Takes the slices that a path begins with. @returns the innermost of them */
function takeSlices(names: string[]): string {
  let slice = '-.slice';
  for (let [name] = names; name !== undefined && SLICE.test(unescaped(name)); [name] = names) {
    slice = unescaped(name);
    names.shift();
  }
  return slice;
}

/** Takes the unit that a path begins with. @returns none where there is something else */
function takeUnit(names: string[]): string[] {
  const name = unescaped(names.shift() ?? '');
  return UNIT.test(name) ? [name] : [];
}

/** systemd puts a `_` before a name that the kernel might have for a file of its own. */
function unescaped(name: string): string {
  return name.startsWith('_') ? name.slice(1) : name;
}

/**
 * The control group that systemd has put a process into. Of a kernel with both versions either hierarchy may be its, and with both
 * they have the same groups. cgroups(7)
 */
function pathOf(pid: 'self' | 1): string | undefined {
  try {
    const lines = readKernelFile(`/proc/${pid}/cgroup`, 'utf8').split('\n');
    const paths = ['0::', 'name=systemd:'].flatMap((hierarchy) =>
      lines
        .filter((line) => line.replace(/^[1-9]\d*:/, '').startsWith(`${hierarchy}/`))
        .map((line) => line.slice(line.indexOf('/'))),
    );
    return paths.find((path) => path !== '/') ?? paths[0];
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}
