/** Installs userns-restrict in each of the places that its argument tells of, as JSON; says what came of each, as JSON. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { BpfError, installUsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import type { Outcome, Place } from '../refusal-places.js';

function install(): Outcome {
  using loop = new EventLoop();
  try {
    using restrict = installUsernsRestrict({ loop });
    return { hook: restrict.hook };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return { code: error.code, message: error.message, ...(error.log && { log: error.log }) };
  }
}

/** The mount points of this process, one for each mount, in their order. proc_pid_mountinfo(5) */
function mountPoints(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
  return lines.map((line) => line.split(' ')[4] ?? '');
}

function installAt({ prepare, uid = 0 }: Place): Outcome {
  const before = mountPoints().length;
  execFileSync('sh', ['-ec', prepare]);
  process.seteuid?.(uid);
  try {
    return install();
  } finally {
    process.seteuid?.(0);
    for (const mountPoint of mountPoints().slice(before).reverse()) execFileSync('umount', ['--lazy', mountPoint]);
  }
}

const places: Readonly<Record<string, Place>> = JSON.parse(process.argv[2] ?? '');
console.log(
  JSON.stringify(Object.fromEntries(Object.entries(places).map(([name, place]) => [name, installAt(place)]))),
);
