import type { StructSyntax, TypeMember, TypeSyntax } from './syntax.js';

/** The declared types, each after those that it is made of, as far as they don't contain each other. */
export function typesInOrder(types: readonly TypeMember[]): readonly TypeMember[] {
  const uses = usesOf(types);
  const ordered = new Set<TypeMember>();
  const begun = new Set<TypeMember>();
  const visit = (member: TypeMember) => {
    if (begun.has(member)) return;
    begun.add(member);
    for (const used of uses.get(member) ?? []) visit(used);
    ordered.add(member);
  };
  for (const member of types) visit(member);
  return [...ordered];
}

/** Those that contain themselves, directly or through others. */
export function recursiveTypes(types: readonly TypeMember[]): ReadonlySet<string> {
  const uses = usesOf(types);
  return new Set(types.filter((member) => reaches(member, member, uses)).map(({ name }) => name));
}

type Uses = ReadonlyMap<TypeMember, readonly TypeMember[]>;

function reaches(from: TypeMember, to: TypeMember, uses: Uses): boolean {
  const seen = new Set<TypeMember>();
  const waiting = [...(uses.get(from) ?? [])];
  for (let member = waiting.pop(); member !== undefined; member = waiting.pop()) {
    if (member === to) return true;
    if (seen.has(member)) continue;
    seen.add(member);
    waiting.push(...(uses.get(member) ?? []));
  }
  return false;
}

function usesOf(types: readonly TypeMember[]): Uses {
  const members = new Map(types.map((member) => [member.name, member]));
  return new Map(
    types.map((member) => [member, [...namesIn(member.definition)].flatMap((name) => members.get(name) ?? [])]),
  );
}

/** The names of the types that one refers to. */
function namesIn(type: TypeSyntax): ReadonlySet<string> {
  switch (type.kind) {
    case 'named':
      return new Set([type.name]);
    case 'array':
    case 'map':
    case 'nullable':
      return namesIn(type.of);
    case 'struct':
      return namesInFields(type);
    default:
      return new Set();
  }
}

function namesInFields({ fields }: StructSyntax): ReadonlySet<string> {
  return new Set(fields.flatMap(({ type }) => [...namesIn(type)]));
}
