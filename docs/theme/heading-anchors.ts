import { Slugger } from 'typedoc';

/** Anchors of headings as GitHub makes them, so that a link to one works in both places. */
export class HeadingSlugger extends Slugger {
  /** How often each was wanted. */
  readonly #wanted = new Map<string, number>();

  override slug(heading: string): string {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-');
    const before = this.#wanted.get(anchor) ?? 0;
    this.#wanted.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  }

  override hasAnchor(anchor: string): boolean {
    const [, plain = '', number] = /^(.*?)(?:-(\d+))?$/.exec(anchor) ?? [];
    return this.#wanted.has(anchor) || (this.#wanted.get(plain) ?? 0) > Number(number);
  }

  override getSimilarAnchors(): string[] {
    return [...this.#wanted.keys()];
  }
}

/** What is used here of markdown-it, which has no types of its own. */
interface MarkdownIt {
  readonly core: { readonly ruler: { push(name: string, rule: (state: State) => void): void } };
}

interface State {
  readonly tokens: readonly Token[];
  readonly Token: new (type: string, tag: string, nesting: number) => Token;
}

interface Token {
  readonly type: string;
  content: string;
  children: Token[] | null;
}

/** Has TypeDoc see code in headings, which it leaves out of their anchors otherwise, as text between tags. */
export function seeCodeInHeadings(parser: MarkdownIt): void {
  parser.core.ruler.push('code-in-headings', ({ tokens, Token }) => {
    const made = (type: string, content: string): Token => Object.assign(new Token(type, '', 0), { content });
    const seen = (token: Token): readonly Token[] =>
      token.type === 'code_inline'
        ? [made('html_inline', '<code>'), made('text', token.content), made('html_inline', '</code>')]
        : [token];
    for (const [index, token] of tokens.entries()) {
      if (tokens[index - 1]?.type === 'heading_open' && token.children) token.children = token.children.flatMap(seen);
    }
  });
}
