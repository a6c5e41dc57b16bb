// How long a client waits for the first byte of a service that its connection starts, and the memory of one that then is idle.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { listenInet } from '@sdrx/event';
import { build } from 'esbuild';
import { Folder } from '../support/folder.js';
import { privateMemory } from '../support/processes.js';
import { median, range } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 31;

/** To the first byte, as many times what a bare server takes. */
const AIM = 1.5;

/** How long a service is left alone before its memory is looked at, in milliseconds. */
const REST = 500;

interface Subject {
  readonly name: string;
  readonly program: string;
  readonly milliseconds: number[];
  readonly resident: number[];
  readonly own: number[];
}

const compiled = (name: string) => fileURLToPath(new URL(`activated/${name}.js`, import.meta.url));
const subject = (name: string, program: string): Subject => ({
  ...{ name, program },
  ...{ milliseconds: [], resident: [], own: [] },
});

using folder = new Folder();
const bare = subject('node:http, listen({ fd: 3 })', compiled('node'));
const subjects = [
  bare,
  subject('@sdrx/event, runService', compiled('service')),
  subject('its parts, with operators of rxjs', compiled('loop')),
  subject('runService, bundled by esbuild', await bundle(compiled('service'))),
];

printMachine();
for (const each of subjects) await measure({ ...each, milliseconds: [], resident: [], own: [] });
for (let round = 0; round < ROUNDS; round++) {
  for (const each of subjects) await measure(each);
}

const milliseconds = (value: number) => value.toFixed(1);
const megabytes = (value: number) => (value / 1024).toFixed(1);
printTable([
  ['Connection to first byte', 'median ms', 'range', 'to bare', 'aim'],
  ...subjects.map((each) => {
    const [value, base] = [median(each.milliseconds), median(bare.milliseconds)];
    const aim = each !== bare ? `≤ ${AIM} ×, ${value <= AIM * base ? 'met' : 'MISSED'}` : '';
    return [each.name, milliseconds(value), range(each.milliseconds, milliseconds), times(value, base), aim];
  }),
]);
for (const [name, of] of [
  ['Resident, idle', 'resident'],
  ['Private, idle', 'own'],
] as const) {
  printTable([
    [name, 'median MB', 'range', 'to bare'],
    ...subjects.map((each) => {
      const value = median(each[of]);
      return [each.name, megabytes(value), range(each[of], megabytes), times(value, median(bare[of]))];
    }),
  ]);
}
console.log(`Medians of ${ROUNDS} starts each, in turns; a process is started as soon as the connection waits. Private: Private_Dirty and
Swap of smaps_rollup, ${REST} ms after the answer. Resident has files, too, that all Node processes share.`);

/**
 * What a service is that has its packages in one file, as docs/limits.md says: of RxJS the modules that it needs, which are those for
 * bundlers and not those that Node gets; koffi, which brings a library, stays where it is.
 */
async function bundle(program: string): Promise<string> {
  const outfile = folder.join('bundle.mjs');
  const koffi = createRequire(import.meta.resolve('@sdrx/linux')).resolve('koffi');
  const rxjs = createRequire(import.meta.resolve('@sdrx/event'))
    .resolve('rxjs')
    .replace('/cjs/', '/esm/');
  await build({
    ...{ entryPoints: [program], outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' },
    alias: { rxjs },
    plugins: [
      {
        name: 'koffi',
        setup: ({ onResolve }) => onResolve({ filter: /^koffi$/ }, () => ({ path: koffi, external: true })),
      },
    ],
  });
  return outfile;
}

/** Starts a service once, by a connection. */
async function measure({ program, milliseconds, resident, own }: Subject): Promise<void> {
  using listener = listenInet('127.0.0.1', 0);
  if (listener.address.family !== 'inet') throw new TypeError('it has no port');
  const { host, port } = listener.address;
  const began = performance.now();
  const client = connect({ host, port });
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  // A shell for both of them, which only one needs: it says whom the socket is for.
  const service = spawn('sh', ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$1"', process.execPath, program], {
    stdio: ['ignore', 'ignore', 'inherit', listener.fd.number],
  });
  const ended = once(service, 'exit');
  try {
    await Promise.race([once(client, 'data'), ended.then(() => Promise.reject(new Error(`${program} ended`)))]);
    milliseconds.push(performance.now() - began);
    client.destroy();
    await setTimeout(REST);
    const pid = Number(service.pid);
    resident.push(Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'ascii'))?.[1]));
    own.push(privateMemory(pid));
  } finally {
    service.kill('SIGKILL');
    await ended;
  }
}
