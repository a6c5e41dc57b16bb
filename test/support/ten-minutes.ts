import { readFileSync } from 'node:fs';
import { programPath } from './program-path.js';

/** A command of the page, and what is shown below it. */
export interface Step {
  readonly command: string;
  readonly shown: string;
}

/** What docs/ten-minutes.md has one write and do. */
export class TenMinutes {
  readonly #page: string;

  /** @param port in place of the page's, which somebody may have */
  constructor(port = 8080) {
    const page = readFileSync(programPath('../../../docs/ten-minutes.md', import.meta.url), 'utf8');
    this.#page = page.replaceAll('8080', String(port));
  }

  get steps(): readonly Step[] {
    const blocks = [...this.#page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    const texts = blocks.flatMap((block) => block.split(/^\$ /m)).filter((text) => text !== '');
    return texts.map((text) => {
      const [command = '', ...shown] = text.split('\n');
      return { command, shown: shown.join('\n') };
    });
  }

  /** A file of the page, by the name in its first line. */
  file(name: string): string {
    const [, content] = new RegExp(`^\`\`\`\\w+\\n((?://|#) ${name}\\n.*?)^\`\`\`$`, 'ms').exec(this.#page) ?? [];
    if (content === undefined) throw new Error(`the page has no ${name}`);
    return content;
  }
}

/** What is shown, with any process ids. */
export function patternOf(shown: string): RegExp {
  const literal = shown.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replaceAll(/\b47\d\d\b/g, '\\d+')}$`);
}
