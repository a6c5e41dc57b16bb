import { marked, type Token, type Tokens } from 'marked';
import { UserError } from '../support/user-error.js';
import { wrapped } from './wrapped.js';

/** What the first heading of a manual page says. */
export interface ManPageTitle {
  readonly name: string;
  readonly section: string;
  readonly summary: string;
}

/** What the first and last line of a manual page show beside its title. */
export interface ManPageEdition {
  /** The day, such as 2026-11-27. */
  readonly date: string;
  /** What the page belongs to, with its version. */
  readonly source: string;
}

/** Of a line of the source, in characters. */
const WIDTH = 78;

const TITLE = /^# ([\w-]+)\((\d)\) (?:-+|–|—) (.+)$/m;

/**
 * @param markdown a page of docs/
 * @returns undefined if it is none of the manual, whose first line is `# NAME(SECTION) - SUMMARY`
 */
export function manPageTitle(markdown: string): ManPageTitle | undefined {
  const [line = ''] = markdown.split('\n', 1);
  const [, name, section, summary] = TITLE.exec(line) ?? [];
  return name && section && summary ? { name, section, summary } : undefined;
}

/**
 * Makes a page for man(1) from one of docs/. Links within the documentation become their text, a table with two columns a list of
 * terms; what man(7) has nothing for is refused. man(7), tbl(1)
 *
 * @param markdown as GitHub understands it, with a title
 * @throws {UserError} that names what it can't show
 */
export function manPage(markdown: string, { date, source }: ManPageEdition): string {
  const title = manPageTitle(markdown);
  if (title === undefined) throw new UserError('a manual page begins with # NAME(SECTION) - SUMMARY');
  const [, ...body] = marked.lexer(markdown);
  const { name, section, summary } = title;
  const head = `.TH ${quoted(name.toUpperCase())} ${section} ${date} ${quoted(source)}\n.SH NAME\n`;
  const tables = body.some((token) => token.type === 'table' && token.header.length > 2);
  return `${tables ? '\'\\" t\n' : ''}${head}${escaped(name)} \\- ${escaped(summary)}\n${blocks(body)}`;
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\(dq')}"`;
}

/** What troff(1) would take for something else. A hyphen is one that can be searched for and copied. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('`', '\\(ga');
}

/** A line that begins with a dot or a quote would be a request. */
function protectedLines(text: string): string {
  return text.replaceAll(/^[.']/gm, '\\&$&');
}

/** @param begun whether something comes before them: a paragraph after a heading needs no macro */
function blocks(tokens: readonly Token[], begun = false): string {
  let text = '';
  let afterHeading = !begun;
  for (const token of tokens) {
    if (token.type === 'space') continue;
    text += block(token as Tokens.Generic, afterHeading);
    afterHeading = token.type === 'heading';
  }
  return text;
}

function block(token: Tokens.Generic, afterHeading: boolean): string {
  const paragraph = afterHeading ? '' : '.PP\n';
  switch (token.type) {
    case 'heading':
      return heading(token as Tokens.Heading);
    case 'paragraph':
    case 'text':
      return `${paragraph}${filled(token.tokens ?? [])}`;
    case 'code':
      return `${paragraph}.RS 4\n.nf\n${protectedLines(escaped(token.text))}\n.fi\n.RE\n`;
    case 'list':
      return list(token as Tokens.List);
    case 'table':
      return table(token as Tokens.Table);
    default:
      throw new UserError(`a manual page can't show this ${token.type}: ${token.raw.trim()}`);
  }
}

function heading({ depth, tokens }: Tokens.Heading): string {
  const text = inline(tokens);
  return depth === 2 ? `.SH ${text.toUpperCase() === text ? text : upperCase(text)}\n` : `.SS ${text}\n`;
}

/** Without the letters of escapes. */
function upperCase(text: string): string {
  return text.replaceAll(/\\(?:f.|\(..|.)|[^\\]+/g, (part) => (part.startsWith('\\') ? part : part.toUpperCase()));
}

/** Lines of the source that are no longer than a reader of it expects; what it looks like does not depend on them. */
function filled(tokens: readonly Token[]): string {
  return `${protectedLines(wrapped(inline(tokens), WIDTH).join('\n'))}\n`;
}

function list({ ordered, start, items }: Tokens.List): string {
  return items
    .map(({ tokens }, index) => {
      const mark = ordered ? `${Number(start || 1) + index}.` : '\\(bu';
      const [first, ...rest] = tokens.filter(({ type }) => type !== 'space');
      const begin = `.IP ${mark} ${ordered ? 4 : 2}\n${first === undefined ? '' : block(first as Tokens.Generic, true)}`;
      return rest.length === 0 ? begin : `${begin}.RS ${ordered ? 4 : 2}\n${blocks(rest, true)}.RE\n`;
    })
    .join('');
}

/** A description of terms; or what has more columns, as tbl(1) wants it. */
function table({ header, rows }: Tokens.Table): string {
  if (header.length === 2) {
    return rows.map(([term, meaning]) => `.TP\n${filled(term?.tokens ?? [])}${filled(meaning?.tokens ?? [])}`).join('');
  }
  const cells = (row: readonly Tokens.TableCell[]) => row.map(({ tokens }) => `T{\n${filled(tokens)}T}`).join('\t');
  const last = `${header.map(() => 'l').join(' ')}x.`;
  const bold = header.map(() => 'lb').join(' ');
  return `.TS\n${bold}\n${last}\n${[header, ...rows].map(cells).join('\n')}\n.TE\n`;
}

function inline(tokens: readonly Token[]): string {
  return tokens.map((token) => part(token as Tokens.Generic)).join('');
}

function part(token: Tokens.Generic): string {
  switch (token.type) {
    case 'text':
    case 'escape':
      return token.tokens === undefined ? manReferences(escaped(token.text)) : inline(token.tokens);
    case 'codespan':
      return `\\fB${escaped(token.text)}\\fR`;
    case 'strong':
      return `\\fB${inline(token.tokens ?? [])}\\fR`;
    case 'em':
      return `\\fI${inline(token.tokens ?? [])}\\fR`;
    case 'link':
      return link(token as Tokens.Link);
    default:
      throw new UserError(`a manual page can't show this ${token.type}: ${token.raw.trim()}`);
  }
}

/** Names of other pages are bold, as everywhere in the manual. */
function manReferences(text: string): string {
  return text.replaceAll(/\b([a-z][\w.]*(?:\\-[\w.]+)*)\((\d)\)/g, '\\fB$1\\fR($2)');
}

/** Only an address that leads somewhere from a terminal is shown. */
function link({ href, tokens }: Tokens.Link): string {
  const text = inline(tokens);
  if (!/^https?:/.test(href)) return text;
  return text === escaped(href) ? text : `${text} (${escaped(href)})`;
}
