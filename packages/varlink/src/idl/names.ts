/** What a name is the name of. */
export type Named = 'interface' | 'member' | 'field' | 'enum value';

// The grammar of varlink.org/Interface-Definition; values of enums may have dashes besides, as those of systemd 262 do.
const GRAMMARS: Readonly<Record<Named, RegExp>> = {
  interface: /^[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+$/,
  member: /^[A-Z][A-Za-z0-9]*$/,
  field: /^[A-Za-z](_?[A-Za-z0-9])*$/,
  'enum value': /^[A-Za-z]([_-]?[A-Za-z0-9])*$/,
};

const KINDS: Readonly<Record<Named, string>> = {
  interface: 'interface',
  member: 'type, method or error',
  field: 'field',
  'enum value': 'enum value',
};

/** @throws TypeError for what the definition language does not allow as a name */
export function requireName(kind: Named, name: string): string {
  if (!GRAMMARS[kind].test(name)) throw new TypeError(`'${name}' is no valid name of a varlink ${KINDS[kind]}`);
  return name;
}
