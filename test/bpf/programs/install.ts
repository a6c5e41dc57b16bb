/** Installs userns-restrict in each of the places that its argument tells of, as JSON; says what came of each, as JSON. */
import { execFileSync } from 'node:child_process';
import { BpfError, installUsernsRestrict } from '@sdrx/bpf';
import { mounts } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import type { Outcome, Place } from '../refusal-places.js';

function install(): Outcome {
  using loop = new EventLoop();
  try {
    using restrict = installUsernsRestrict({ loop });
    restrict.attach();
    return { hook: restrict.hook, omissions: restrict.omissions };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return { code: error.code, message: error.message, log: error.log };
  }
}

function installAt({ prepare, uid = 0 }: Place): Outcome {
  const before = mounts().length;
  execFileSync('sh', ['-ec', prepare]);
  process.seteuid?.(uid);
  try {
    return install();
  } finally {
    process.seteuid?.(0);
    for (const { path } of mounts().slice(before).reverse()) execFileSync('umount', ['--lazy', path]);
  }
}

const places: Readonly<Record<string, Place>> = JSON.parse(process.argv[2] ?? '');
console.log(
  JSON.stringify(Object.fromEntries(Object.entries(places).map(([name, place]) => [name, installAt(place)]))),
);
