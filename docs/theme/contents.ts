import { existsSync } from 'node:fs';
import { root } from './root.js';

/** A part of the site, with pages that belong together. */
export interface Section {
  readonly title: string;
  /** Markdown files, as paths below the repository's top folder, in the order in which one reads them. */
  readonly pages: readonly string[];
}

/** The page that the site begins with. */
export const FRONT_PAGE = 'docs/README.md';

/** All other pages. One that is not there is left out. */
export const SECTIONS: readonly Section[] = [
  {
    title: 'Begin',
    pages: ['docs/ten-minutes.md', 'docs/loop.md', 'docs/from-sd-event.md', 'docs/why-not.md'],
  },
  {
    title: 'Guide',
    pages: [
      'docs/serve.md',
      'docs/activate.md',
      'docs/end.md',
      'docs/sleep-when-idle.md',
      'docs/restart.md',
      'docs/reload.md',
      'docs/environment.md',
      'docs/log.md',
      'docs/keep-running.md',
      'docs/bundle.md',
      'docs/own-source.md',
      'docs/simulate.md',
      'docs/trace.md',
      'docs/sdrx-event.md',
    ],
  },
  {
    title: "The daemon's book",
    pages: [
      'docs/book/README.md',
      'docs/book/install.md',
      'docs/install.md',
      'docs/book/operate.md',
      'docs/security.md',
      'docs/book/troubleshoot.md',
      'docs/daemon.md',
      'docs/metrics.md',
      'docs/nsresourced.md',
      'docs/nsresourcectl.md',
    ],
  },
  {
    title: 'Packages',
    pages: ['event', 'linux', 'varlink', 'bpf', 'daemon'].map((name) => `packages/${name}/README.md`),
  },
  {
    title: 'Examples',
    pages: [
      'examples/README.md',
      ...['http-service', 'supervisor', 'on-demand', 'nbd-export', 'link-monitor', 'mqtt-listen'].map(
        (name) => `examples/${name}/README.md`,
      ),
    ],
  },
  {
    title: 'To look up',
    pages: [
      'docs/parity-sd-event.md',
      'docs/activation.md',
      'docs/restart-protocol.md',
      'docs/limits.md',
      'CHANGELOG.md',
      'SECURITY.md',
    ],
  },
  {
    title: 'The project',
    pages: [
      'CONTRIBUTING.md',
      'docs/architecture.md',
      'docs/testing.md',
      'test/parity/scenarios/README.md',
      'bench/README.md',
    ],
  },
].map(({ title, pages }) => ({ title, pages: pages.filter((page) => existsSync(`${root}/${page}`)) }));
