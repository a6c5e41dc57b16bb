import { readFileSync } from 'node:fs';
import { Links } from '@sdrx/linux';
import { inNetwork } from './in-network.js';
import { UserNamespace } from './user-namespace.js';

/** A network namespace of its own, with nothing in it but a loopback interface that is down. */
export class Network implements Disposable {
  readonly #holder = new UserNamespace(0, '--map-root-user', '--net');
  readonly fd = this.#holder.open('net');

  /** Runs `body` in it. */
  run<T>(body: (links: Links) => T): T {
    return inNetwork(this.fd.number, () => {
      using links = new Links();
      return body(links);
    });
  }

  /** The names of its interfaces, as the kernel tells everybody. */
  names(): string[] {
    const text = inNetwork(this.fd.number, () => readFileSync('/proc/thread-self/net/dev', 'utf8'));
    return [...text.matchAll(/^\s*(\S+):/gm)].map(([, name = '']) => name).sort();
  }

  [Symbol.dispose](): void {
    this.fd.close();
    this.#holder[Symbol.dispose]();
  }
}
