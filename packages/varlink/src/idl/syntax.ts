/** An interface as its text says it, in the definition language. varlink.org/Interface-Definition */
export interface InterfaceSyntax {
  /** In reverse domain notation, as `io.systemd.JournalAccess`. */
  readonly name: string;
  /** The comment above it, without `#`, its lines divided by `\n`. */
  readonly description?: string | undefined;
  /** In the order in which they stand. */
  readonly members: readonly MemberSyntax[];
}

export type MemberSyntax = TypeMember | MethodMember | ErrorMember;

/** `type Point (x: int, y: int)`. */
export interface TypeMember {
  readonly kind: 'type';
  readonly name: string;
  readonly description?: string | undefined;
  readonly definition: StructSyntax | EnumSyntax;
}

/** `method Move(by: Point) -> (to: Point)`. */
export interface MethodMember {
  readonly kind: 'method';
  readonly name: string;
  /** Without the lines that `more` and `upgrade` come from. */
  readonly description?: string | undefined;
  /** Whether it may give several replies to a call with `more`, or `required` if it can't be called without. */
  readonly more?: boolean | 'required' | undefined;
  /** Whether the connection may be another protocol's after the reply, or `required` if it can't be called without. */
  readonly upgrade?: boolean | 'required' | undefined;
  readonly parameters: StructSyntax;
  readonly reply: StructSyntax;
}

/** `error TooFar (most: int)`. */
export interface ErrorMember {
  readonly kind: 'error';
  readonly name: string;
  readonly description?: string | undefined;
  readonly fields: StructSyntax;
}

/** A type, wherever one may stand. */
export type TypeSyntax =
  | { readonly kind: 'bool' | 'int' | 'float' | 'string' | 'object' | 'any' }
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'array' | 'map' | 'nullable'; readonly of: TypeSyntax }
  | StructSyntax
  | EnumSyntax;

/** `(x: int, y: int)`. */
export interface StructSyntax {
  readonly kind: 'struct';
  readonly fields: readonly FieldSyntax[];
}

export interface FieldSyntax {
  readonly name: string;
  readonly description?: string | undefined;
  readonly type: TypeSyntax;
}

/** `(red, green)`. */
export interface EnumSyntax {
  readonly kind: 'enum';
  readonly values: readonly EnumValueSyntax[];
}

export interface EnumValueSyntax {
  readonly name: string;
  readonly description?: string | undefined;
}
