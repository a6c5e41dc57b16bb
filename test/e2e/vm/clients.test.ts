import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import t, { type Test } from 'tap';
import { USERNS } from '../../support/allocation.js';
import { systemdRelease } from '../../support/systemd-release.js';
import { makeCertificate } from './certificate.js';
import { ALICE, attempt, attemptAs, needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace } from './namespaces.js';
import { API, type Provider, REGISTRY, SOCKET_PATH, withEach } from './service.js';

const WORK = '/var/lib/image';
const IMAGE = '/home/alice/image.raw';

/** The three partitions of an image that can be trusted: a file system, its hashes, and their signature. */
const partitions = {
  data: `Type=root-x86-64\nFormat=squashfs\nCopyFiles=${WORK}/tree:/\nMinimize=best`,
  hash: 'Type=root-x86-64-verity\nMinimize=best',
  signature: 'Type=root-x86-64-verity-sig',
};

/** Makes an image that has little more than a shell, signed with a key that the machine trusts. */
function makeImage(): void {
  rmSync(WORK, { recursive: true, force: true });
  for (const folder of [
    'usr/bin',
    'usr/lib',
    'proc',
    'sys',
    'dev',
    'run',
    'tmp',
    'var',
    'etc',
    'root',
    'home',
    'mnt',
  ]) {
    mkdirSync(`${WORK}/tree/${folder}`, { recursive: true });
  }
  cpSync('/bin/busybox', `${WORK}/tree/usr/bin/busybox`);
  symlinkSync('busybox', `${WORK}/tree/usr/bin/sh`);
  for (const name of ['bin', 'sbin', 'lib'])
    symlinkSync(`usr/${name === 'lib' ? 'lib' : 'bin'}`, `${WORK}/tree/${name}`);
  writeFileSync(`${WORK}/tree/usr/lib/os-release`, 'ID=sdrx\nVERSION_ID=1\n');
  for (const file of ['localtime', 'resolv.conf', 'machine-id']) writeFileSync(`${WORK}/tree/etc/${file}`, '');
  mkdirSync(`${WORK}/parts`);
  for (const [index, [verity, text]] of Object.entries(partitions).entries()) {
    writeFileSync(`${WORK}/parts/${index}.conf`, `[Partition]\n${text}\nVerity=${verity}\nVerityMatchKey=root\n`);
  }
  const [key, certificate] = [`${WORK}/key.pem`, `${WORK}/certificate.pem`];
  makeCertificate(key, certificate);
  run(
    'systemd-repart',
    ...['--offline=yes', '--empty=create', '--size=auto', '--dry-run=no', `--definitions=${WORK}/parts`],
    ...[`--private-key=${key}`, `--certificate=${certificate}`, `${WORK}/image.raw`],
  );
  mkdirSync('/run/verity.d', { recursive: true });
  copyFileSync(certificate, '/run/verity.d/sdrx.crt');
  copyFileSync(`${WORK}/image.raw`, IMAGE);
  chownSync(IMAGE, ALICE, ALICE);
  chmodSync(IMAGE, 0o644);
}

if (needsVirtualMachine.skip === undefined) makeImage();

/** Runs a shell script in a container of the user's. @returns what it writes */
function nspawn(t: Test, script: string, ...options: readonly string[]): string {
  // In a control group that is the user's own, or the process could not be moved to one.
  const unit = ['--user', '--pipe', '--wait', '--quiet', '--property=Delegate=yes', 'systemd-nspawn'];
  const plain = ['--keep-unit', '--pipe', '--register=no', '--timezone=off', '--resolv-conf=off', `--image=${IMAGE}`];
  const command = ['/usr/bin/busybox', 'sh', '-c', script];
  const { status, output } = attemptAs(ALICE, 'systemd-run', ...unit, ...plain, ...options, ...command);
  t.equal(status, 0, output);
  return output;
}

/** Options for a test of what clients do since that release. */
const since258 =
  systemdRelease() >= 258 ? {} : { skip: "systemd 258 brought it: run the machine with Debian's next release" };

const since260 =
  systemdRelease() >= 260 ? {} : { skip: "systemd 260 brought it: run the machine with Debian's next release" };

/** The lines of a map: first id inside, first outside, how many. */
function mapLines(output: string): number[][] {
  return [...output.matchAll(/^ *(\d+) +(\d+) +(\d+)$/gm)].map((match) => match.slice(1).map(Number));
}

withEach(t, 'real clients', needsVirtualMachine, async (t, provider: Provider) => {
  if (provider === 'systemd' && systemdRelease() >= 258) {
    await t.test(
      'of systemd’s own daemon',
      { skip: 'it takes an emulated machine longer to answer than they wait' },
      () => {},
    );
    return;
  }
  using namespace = await RegisteredNamespace.create('probe');
  const { start } = namespace;

  await t.test('varlinkctl info and introspect', async (t) => {
    t.match(run('varlinkctl', 'info', SOCKET_PATH), provider === 'sdrx' ? /Product: nsresourced/ : /systemd/);
    for (const name of [API, 'io.systemd.UserDatabase', 'org.varlink.service']) {
      t.match(run('varlinkctl', 'introspect', SOCKET_PATH, name), `interface ${name}`);
    }
  });

  await t.test('varlinkctl call', async (t) => {
    const parameters = JSON.stringify({ uid: start + 1, service: API });
    const reply = run(
      'varlinkctl',
      '--json=short',
      'call',
      SOCKET_PATH,
      'io.systemd.UserDatabase.GetUserRecord',
      parameters,
    );
    t.match(JSON.parse(reply), { record: { userName: 'ns-probe-1', uid: start + 1, disposition: 'container' } });
  });

  for (const who of ['ns-probe-7', String(start + 7)]) {
    await t.test(`userdbctl and getent find ${who}`, async (t) => {
      const record = (kind: string) => JSON.parse(run('userdbctl', '--json=short', kind, who));
      t.match(record('user'), { userName: 'ns-probe-7', uid: start + 7, gid: 65_534, locked: true, service: API });
      t.match(record('group'), { groupName: 'ns-probe-7', gid: start + 7, service: API });
      t.match(run('getent', 'passwd', who), `ns-probe-7:x:${start + 7}:65534:User 7 of Allocated Namespace probe:/:`);
      t.match(run('getent', 'group', who), `ns-probe-7:x:${start + 7}:`);
    });
  }

  await t.test('userdbctl and getent find no others', async (t) => {
    t.equal(attempt('userdbctl', 'user', 'ns-nobody-0').status, 1);
    t.equal(attempt('getent', 'group', String(start - 1)).status, 2);
  });

  await t.test("a user's systemd-dissect reads an image, by systemd-mountfsd", async (t) => {
    const { status, output } = attemptAs(ALICE, 'systemd-dissect', '--mtree', IMAGE);
    t.equal(status, 0, output);
    t.match(output, /^\.\/usr\/bin\/busybox type=file mode=0755 uid=0 gid=0/m);
  });

  await t.test("a user's varlinkctl passes a namespace", since258, async (t) => {
    const parameters = JSON.stringify({ name: 'pushed', size: 65_536, [USERNS]: 0 });
    const call = `varlinkctl call --push-fd=/proc/self/ns/user ${SOCKET_PATH} ${API}.AllocateUserRange '${parameters}'`;
    const script = `${call} && cat /proc/self/uid_map`;
    const { status, output } = attemptAs(ALICE, 'unshare', '--user', 'sh', '-c', script);
    t.equal(status, 0, output);
    t.match(output, /^ +0 +\d+ +65536$/m);
  });

  await t.test("a user's systemd-nspawn runs a command of an image", async (t) => {
    const output = nspawn(t, 'busybox id -u; busybox cat /proc/self/uid_map');
    t.match(output, /^0$/m);
    t.match(output, /^ +0 +\d+ +65536$/m);
  });

  await t.test('so it does when it is told where the ids come from', since258, async (t) => {
    t.match(nspawn(t, 'busybox cat /proc/self/uid_map', '--private-users=managed'), /^ +0 +\d+ +65536$/m);
  });

  await t.test('and has ranges to give to containers of its own', since260, async (t) => {
    const options = ['--private-users=managed', '--private-users-delegate=2'];
    const [own, ...delegated] = mapLines(nspawn(t, 'busybox cat /proc/self/uid_map', ...options));
    t.match(own, [0, Number, 65_536]);
    // What it may give away it sees by the numbers of the host.
    for (const [inside, outside, count] of delegated.slice(0, 2)) t.strictSame([inside, count], [outside, 65_536]);
    t.ok(delegated.length >= 2, `${delegated.length} more lines`);
  });

  await t.test('and a network between it and the host', since260, async (t) => {
    const options = ['--private-users=managed', '--network-veth'];
    t.match(nspawn(t, 'busybox ip link show host0', ...options), /: host0@/);
  });

  await t.test('a service has a namespace with ids of its own', since260, async (t) => {
    const options = ['--pipe', '--wait', '--quiet', '--property=PrivateUsers=managed'];
    const { status, output } = attempt('systemd-run', ...options, 'cat', '/proc/self/uid_map');
    t.equal(status, 0, output);
    t.match(mapLines(output)[0], [0, Number, 65_536]);
  });

  await t.test("a user's service runs in an image, in a user namespace of its own", async (t) => {
    // Whether that is registered systemd-mountfsd asks the daemon, which says that it is not.
    const properties = [`--property=RootImage=${IMAGE}`, '--property=PrivateUsers=yes'];
    const command = ['/usr/bin/busybox', 'cat', '/proc/self/uid_map', '/usr/lib/os-release'];
    const options = ['--user', '--pipe', '--wait', '--quiet'];
    const { status, output } = attemptAs(ALICE, 'systemd-run', ...options, ...properties, ...command);
    t.equal(status, 0, output);
    t.match(output, /^ +1000 +1000 +1$/m);
    t.match(output, /^ID=sdrx$/m);
  });

  t.ok(existsSync(`${REGISTRY}/i${namespace.inode}.userns`));
  t.match(readFileSync(`/proc/${namespace.namespace.child.pid}/gid_map`, 'ascii'), String(start));
});
