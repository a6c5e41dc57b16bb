import { readEnvironment } from '@sdrx/event';
import * as t from 'io-ts';

/** Where the system's bus is, unless the environment says something else. */
const USUAL = '/run/dbus/system_bus_socket';

/** A list of addresses of D-Bus as those of Unix sockets: paths, or `@` and an abstract name. Other kinds are left out. */
const UnixAddresses = new t.Type<readonly string[], string, unknown>(
  "addresses of D-Bus, one of which is of a Unix socket: 'unix:path=/run/dbus/system_bus_socket'",
  (input): input is readonly string[] => Array.isArray(input) && input.every(t.string.is),
  (input, context) => {
    const addresses = String(input).split(';').map(unixAddress);
    const found = addresses.filter((address) => address !== undefined);
    return found.length > 0 ? t.success(found) : t.failure(input, context);
  },
  (addresses) => addresses.join(';'),
);

/**
 * Where to look for the system's bus, the best first: as DBUS_SYSTEM_BUS_ADDRESS says. D-Bus Specification, "Server Addresses".
 * Throws EnvironmentError.
 */
export function systemBusAddresses(environment: NodeJS.ProcessEnv): readonly string[] {
  return readEnvironment(environment, 'DBUS_SYSTEM_BUS_ADDRESS', UnixAddresses) ?? [USUAL];
}

function unixAddress(address: string): string | undefined {
  const [, list] = /^unix:(.*)$/.exec(address) ?? [];
  const read = (key: string) =>
    unescaped(
      list
        ?.split(',')
        .find((pair) => pair.startsWith(`${key}=`))
        ?.slice(key.length + 1),
    );
  const [path, abstract] = [read('path'), read('abstract')];
  if (path?.startsWith('/')) return path;
  return abstract === undefined || abstract === '' ? undefined : `@${abstract}`;
}

/** Bytes may be written as % and two hexadecimal digits. */
function unescaped(value: string | undefined): string | undefined {
  try {
    return value === undefined ? undefined : decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
