import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Finding, finding } from './finding.js';
import { findProgram, textOf } from './look.js';
import { checkPolkit } from './polkit.js';

/** Of util-linux: what `run` needs, and the daemon. */
const TOOLS = ['unshare', 'nsenter', 'setpriv'];

/** Programs of systemd that ask the daemon, and from which release on. */
const CLIENTS = ['systemd-nspawn', 'systemd-dissect', 'userdbctl', 'varlinkctl'];
const CLIENTS_SINCE = 256;

/** The ids that are lent. */
const LENT = { start: 0x8_0000, end: 0x7000_0000 };

/** What is installed. */
export function checkSystem(): Finding[] {
  return [tools(), systemd(), clients(), userNames(), checkPolkit(), subordinateIds()];
}

function tools(): Finding {
  const lacking = TOOLS.filter((name) => findProgram(name) === undefined);
  return finding('util-linux', lacking.length === 0 && TOOLS.join(', '), [
    'missing',
    `${lacking.join(', ')} can't be found along PATH`,
    'apt install util-linux',
  ]);
}

function systemd(): Finding {
  const version = systemdVersion();
  const running = existsSync('/run/systemd/system');
  return finding('systemd', version !== undefined && running && version, [
    'absent',
    version === undefined
      ? 'not installed: no unit starts the daemon'
      : `${version}, not running: no unit starts the daemon`,
    'start nsresourced by hand, as root',
  ]);
}

function clients(): Finding {
  const [number = 0] = systemdVersion()?.split(' ').slice(0, 1).map(Number) ?? [];
  const there = CLIENTS.filter((name) => findProgram(name) !== undefined);
  const lacking = CLIENTS.filter((name) => !there.includes(name));
  if (number < CLIENTS_SINCE) {
    return {
      what: "systemd's clients",
      state: 'absent',
      detail: `they ask the daemon since systemd ${CLIENTS_SINCE}`,
      remedy: 'use nsresourcectl run, or a newer Debian',
    };
  }
  return finding("systemd's clients", lacking.length === 0 && there.join(', '), [
    'absent',
    `not installed: ${lacking.join(', ')}`,
    'apt install systemd-container systemd-userdbd',
  ]);
}

/** As systemctl says it: `257 (257.9-1~deb13u1)`. */
function systemdVersion(): string | undefined {
  const { stdout } = spawnSync('systemctl', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [, version] = /^systemd (\d+ \(.*\))/.exec(stdout ?? '') ?? [];
  return version;
}

function userNames(): Finding {
  const settings = textOf('/etc/nsswitch.conf') ?? '';
  const named = /^passwd:.*\bsystemd\b/m.test(settings) && /^group:.*\bsystemd\b/m.test(settings);
  return finding('names of lent ids', named && 'by libnss-systemd', [
    'absent',
    'ls and ps show numbers for them: nsswitch.conf has no systemd for passwd and group',
    'apt install libnss-systemd',
  ]);
}

function subordinateIds(): Finding {
  const lines = ['/etc/subuid', '/etc/subgid'].flatMap((path) =>
    (textOf(path) ?? '').split('\n').map((line) => [path, line]),
  );
  const overlapping = lines.find(([, line = '']) => {
    const [, start = Number.NaN, count = 0] = line.split(':').map(Number);
    return start < LENT.end && start + count > LENT.start;
  });
  return finding('subordinate ids', overlapping === undefined && 'apart from those that are lent', [
    'absent',
    `${overlapping?.[0]} gives ids away that are also lent: '${overlapping?.[1]}'`,
    'take ids outside of 524288 to 1879048191 there, by SUB_UID_MIN and SUB_GID_MIN of login.defs',
  ]);
}
