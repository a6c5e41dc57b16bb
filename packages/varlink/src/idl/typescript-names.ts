import { requireText, shown } from '../arguments.js';
import type { InterfaceSyntax } from './syntax.js';

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** What a constant of the module can't be called: words of the language, and what the module imports. */
const TAKEN: ReadonlySet<string> = new Set(
  `arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally
  for function if implements import in interface let new null package private protected public return static super switch this
  throw true try typeof undefined var void while with yield
  anyValue bool field float foreignObject int nullable optional string struct t varlinkInterface`.split(/\s+/),
);

/** Whether a module can have a constant of this name beside what it imports. */
export function isConstantName(name: string): boolean {
  return IDENTIFIER.test(name) && !TAKEN.has(name);
}

/**
 * What the constant of an interface is called.
 * @param wanted the name that is asked for; by default it is made of what follows the last dot of the interface's name
 * @throws TypeError for a name that is no identifier, or is in use
 */
export function constantName({ name, members }: InterfaceSyntax, wanted: string | undefined): string {
  if (wanted !== undefined) {
    requireText(wanted, 'name');
    if (!isConstantName(wanted) || members.some((member) => member.name === wanted))
      throw new TypeError(`\`name\` must be an identifier that is not in use, not ${shown(wanted)}`);
    return wanted;
  }
  const last = name.slice(name.lastIndexOf('.') + 1).replace(/-+(.)/g, (_, letter: string) => letter.toUpperCase());
  // OOMManager becomes oomManager, and 1st _1st.
  const camel = last.replace(/^[A-Z]+(?![a-z])|^[A-Z]/, (start) => start.toLowerCase()).replace(/^(?=\d)/, '_');
  return TAKEN.has(camel) ? `${camel}Interface` : camel;
}

/** A text as it stands in TypeScript. */
export function quoted(text: string): string {
  const double = JSON.stringify(text).replace(/[\u2028\u2029]/g, (end) => `\\u${end.charCodeAt(0).toString(16)}`);
  if (text.includes("'") && !text.includes('"')) return double;
  return `'${double.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}

/** A key of an object in TypeScript. */
export function key(name: string): string {
  return IDENTIFIER.test(name) ? name : quoted(name);
}
