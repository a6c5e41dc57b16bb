import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { systemdRelease } from '../../support/systemd-release.js';
import { attemptBeside, needsVirtualMachine, type Outcome, run } from './machine.js';
import { makeScenarioImage, removeScenarioImage, startUserManager, TESTS } from './scenario-image.js';
import { begun, install, SERVICE, SOCKET } from './service.js';

/** The longest that a scenario may take in an emulated machine, in seconds. */
const LIMIT = 1800;

/** Each call is a matter of seconds there, with the containers that start beside it. */
const PATIENCE = 'ExecStart=\nExecStart=nsresourced --max-call-time=40s\n';

/** How a program of systemd's tests says that it can't be run where it is. */
const SKIPPED = 77;

/** How much of a scenario's output tells why it failed, in lines. What it does at its end is half of that. */
const SHOWN = 120;

interface Scenario {
  readonly name: string;
  /** A path below `TESTS`. */
  readonly program: string;
  /** By which a script is told what of it is wanted. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What the trace of a whole run has. */
  readonly whole?: string;
  /** Parts that a script leaves out by itself, which is no failure of anybody's. */
  readonly leaves?: { readonly trace: string; readonly what: string; readonly why: string };
}

/** A script of those that a scenario consists of. */
function part(name: string, more: Partial<Scenario> = {}): Scenario {
  const [, scenario = '', subtest] = /^(.*)\.(.*)$/.exec(name) ?? [];
  const program = `testdata/units/${scenario}.sh`;
  return { name, program, environment: { TEST_MATCH_SUBTEST: `\\.${subtest}\\.sh$` }, ...more };
}

/** One of the functions of such a script. */
function testcase(name: string, which: string): Scenario {
  const { environment, ...script } = part(name);
  return {
    ...script,
    name: `${name}, ${which}`,
    environment: { ...environment, TEST_MATCH_TESTCASE: `^${which}$` },
    whole: `: '+++ ${which} END +++'`,
  };
}

const scenarios: readonly Scenario[] = [
  { name: 'test-nsresource', program: 'unit-tests/test-nsresource' },
  testcase('TEST-13-NSPAWN.nspawn', 'testcase_unpriv'),
  testcase('TEST-13-NSPAWN.nspawn', 'testcase_unpriv_fuse'),
  testcase('TEST-13-NSPAWN.nspawn', 'testcase_unpriv_dir'),
  part('TEST-13-NSPAWN.pull-oci'),
  part('TEST-50-DISSECT.mountfsd', {
    leaves: {
      trace: 'VERITY_SIG_SUPPORTED=0',
      what: "users' services in signed images and their extensions",
      why: "the kernel's keyring must hold the certificate, which it takes from firmware that an emulated machine has not",
    },
  }),
  part('TEST-13-NSPAWN.unpriv'),
];

/** What is not tried, and why. */
const left = {
  'test-userns-restrict':
    "it loads systemd's own BPF program and asks no daemon; test/bpf/matrix compares that one with ours",
  'the other test cases of TEST-13-NSPAWN.nspawn': 'their containers are run by root, who asks no daemon for ids',
  'TEST-13-NSPAWN.machined': 'but for two copies of images of users, its containers are run by root',
  'TEST-29-PORTABLE.user': 'it puts services in images some thirty times, for which an emulated machine is too slow',
};

function whyNot(): string | undefined {
  if (needsVirtualMachine.skip !== undefined) return needsVirtualMachine.skip;
  const release = systemdRelease();
  if (release < 262) return `the scenarios are those of systemd 262, and this is ${release}`;
  if (!existsSync(TESTS)) return "Debian's package systemd-tests is not installed: the machine testing has it";
  return undefined;
}

/** Runs one as a service, as systemd's own unit for it does. */
function runScenario({ program, environment = {} }: Scenario): Promise<Outcome> {
  // A busy manager of an emulated machine may take longer to answer than the 25 s that its clients wait.
  const patience = { SYSTEMD_BUS_TIMEOUT: '600' };
  const variables = { SYSTEMD_PAGER: '', SYSTEMD_NSS_LOG_LEVEL: 'info', ...patience, ...environment };
  return attemptBeside(
    'systemd-run',
    ...['--wait', '--pipe', '--quiet', '--collect', `--property=RuntimeMaxSec=${LIMIT}`],
    ...Object.entries(variables).map(([name, value]) => `--setenv=${name}=${value}`),
    // What it writes and what bash traces in the order in which they come.
    ...['sh', '-c', 'exec "$0" 2>&1', `${TESTS}/${program}`],
  );
}

/** What it says that it leaves out, beside what it was not asked for. */
function skipping(output: string): string[] {
  return output.split('\n').filter((line) => /\bskipping\b/i.test(line) && !/\(not matching /.test(line));
}

/** The same of a script, by its trace: programs that it runs skip things, too. */
const leftOut = (output: string) => skipping(output).filter((line) => /^\++ echo /.test(line));

const lastLines = (output: string) => output.split('\n').slice(-SHOWN).join('\n');

t.test("systemd's own scenarios, with our daemon", { skip: whyNot() ?? false }, async (t: Test) => {
  t.teardown(removeScenarioImage);
  install('sdrx', PATIENCE);
  run('systemctl', 'start', SOCKET, SERVICE);
  await begun();
  makeScenarioImage();
  for (const scenario of scenarios) {
    const { name, whole = '', leaves } = scenario;
    startUserManager();
    const begin = performance.now();
    const { status, output } = await runScenario(scenario);
    const skip = status === SKIPPED && (skipping(output).at(-1) ?? 'it says no reason');
    await t.test(name, { skip }, async (t) => {
      t.comment(`${Math.round((performance.now() - begin) / 1000)} s`);
      t.equal(status, 0, lastLines(output));
      t.strictSame(leftOut(output), []);
      t.ok(output.includes(whole), `the trace has ${whole}`);
    });
    if (leaves !== undefined && output.includes(leaves.trace)) {
      await t.test(`${name}: ${leaves.what}`, { skip: leaves.why }, () => {});
    }
  }
  for (const [name, skip] of Object.entries(left)) await t.test(name, { skip }, () => {});
});
