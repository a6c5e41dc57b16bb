import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type Call,
  field,
  foreignObject,
  type Implementation,
  implement,
  int,
  nullable,
  optional,
  struct,
  type VarlinkClient,
  varlinkInterface,
} from '@sdrx/varlink';
import * as t from 'io-ts';
import { lastValueFrom, map, range, toArray } from 'rxjs';

const Interface = struct({
  foo: optional(t.array(nullable(t.record(t.string, t.keyof({ foo: null, bar: null, baz: null }))))),
  anon: field(struct({ foo: field(t.boolean), bar: field(t.boolean) })),
});

const pair = struct({ first: field(int), second: field(t.string) });

const MyType = struct({
  object: field(foreignObject),
  enum: field(t.keyof({ one: null, two: null, three: null })),
  struct: field(pair),
  array: field(t.array(t.string)),
  dictionary: field(t.record(t.string, t.string)),
  stringset: field(t.record(t.string, struct({}))),
  nullable: optional(t.string),
  nullable_array_struct: optional(t.array(pair)),
  interface: field(Interface),
});

const four = { bool: field(t.boolean), int: field(int), float: field(t.number), string: field(t.string) };
const client_id = field(t.string);

/** What implementations of Varlink are certified with: each method takes what the one before has returned. */
export const certification = varlinkInterface({
  name: 'org.varlink.certification',
  types: { Interface: { codec: Interface }, MyType: { codec: MyType } },
  methods: {
    Start: { reply: { client_id } },
    Test01: { parameters: { client_id }, reply: { bool: field(t.boolean) } },
    Test02: { parameters: { client_id, bool: field(t.boolean) }, reply: { int: field(int) } },
    Test03: { parameters: { client_id, int: field(int) }, reply: { float: field(t.number) } },
    Test04: { parameters: { client_id, float: field(t.number) }, reply: { string: field(t.string) } },
    Test05: { parameters: { client_id, string: field(t.string) }, reply: four },
    Test06: { parameters: { client_id, ...four }, reply: { struct: field(struct(four)) } },
    Test07: {
      parameters: { client_id, struct: field(struct(four)) },
      reply: { map: field(t.record(t.string, t.string)) },
    },
    Test08: {
      parameters: { client_id, map: field(t.record(t.string, t.string)) },
      reply: { set: field(t.record(t.string, struct({}))) },
    },
    Test09: { parameters: { client_id, set: field(t.record(t.string, struct({}))) }, reply: { mytype: field(MyType) } },
    Test10: { more: 'required', parameters: { client_id, mytype: field(MyType) }, reply: { string: field(t.string) } },
    Test11: {
      description: 'To be called oneway.',
      parameters: { client_id, last_more_replies: field(t.array(t.string)) },
    },
    End: { parameters: { client_id }, reply: { all_ok: field(t.boolean) } },
  },
  errors: {
    ClientIdError: {},
    CertificationError: { fields: { wants: field(foreignObject), got: field(foreignObject) } },
  },
});

const { methods, errors } = certification;

/** What the methods return. */
const values = {
  four: { bool: false, int: 2, float: Math.PI, string: 'a lot of string' },
  map: { foo: 'Foo', bar: 'Bar' },
  set: { one: {}, two: {}, three: {} },
  mytype: {
    object: { method: 'org.varlink.certification.Test09', parameters: { map: { foo: 'Foo', bar: 'Bar' } } },
    enum: 'two',
    struct: { first: 1, second: '2' },
    array: ['one', 'two', 'three'],
    dictionary: { foo: 'Foo', bar: 'Bar' },
    stringset: { one: {}, two: {}, three: {} },
    interface: {
      foo: [null, { foo: 'foo', bar: 'bar' }, null, { one: 'foo', two: 'bar' }],
      anon: { foo: true, bar: false },
    },
  },
  replies: Array.from({ length: 10 }, (_, index) => `Reply number ${index + 1}`),
} as const;

/** A service that takes each call only in its turn, with exactly the right parameters and flags. */
export function certificationService(): Implementation {
  /** The method that each client calls next. */
  const turns = new Map<string, number>();
  const names = Object.keys(methods);

  /** Throws CertificationError for a call out of turn, or another than wanted. */
  function check(
    { method, more, oneway }: Call,
    got: { readonly client_id: string },
    wanted: object,
    flags = {},
  ): void {
    const { client_id: client } = got;
    const turn = turns.get(client);
    if (turn === undefined) throw errors.ClientIdError();
    turns.set(client, turn + 1);
    const wants = { method: `${certification.name}.${names[turn]}`, more: false, oneway: false, ...flags };
    const call = { ...wants, parameters: { client_id: client, ...wanted } };
    const came = { method, more, oneway, parameters: got };
    if (!isDeepStrictEqual(call, came)) throw errors.CertificationError({ wants: call, got: came });
  }

  return implement(certification, {
    Start: () => {
      const client = randomUUID();
      turns.set(client, 1);
      return { client_id: client };
    },
    Test01: (got, call) => {
      check(call, got, {});
      return { bool: true };
    },
    Test02: (got, call) => {
      check(call, got, { bool: true });
      return { int: 1 };
    },
    Test03: (got, call) => {
      check(call, got, { int: 1 });
      return { float: 1.0 };
    },
    Test04: (got, call) => {
      check(call, got, { float: 1.0 });
      return { string: 'ping' };
    },
    Test05: (got, call) => {
      check(call, got, { string: 'ping' });
      return values.four;
    },
    Test06: (got, call) => {
      check(call, got, values.four);
      return { struct: values.four };
    },
    Test07: (got, call) => {
      check(call, got, { struct: values.four });
      return { map: values.map };
    },
    Test08: (got, call) => {
      check(call, got, { map: values.map });
      return { set: values.set };
    },
    Test09: (got, call) => {
      check(call, got, { set: values.set });
      return { mytype: values.mytype as unknown as t.TypeOf<typeof MyType> };
    },
    Test10: (got, call) => {
      check(call, got, { mytype: values.mytype }, { more: true });
      return range(0, values.replies.length).pipe(map((index) => ({ string: values.replies[index] ?? '' })));
    },
    Test11: (got, call) => check(call, got, { last_more_replies: values.replies }, { oneway: true }),
    End: (got, call) => {
      check(call, got, {});
      turns.delete(got.client_id);
      return { all_ok: true };
    },
  });
}

/** Calls all methods in turn, each with what the one before has returned. @returns whether the service is content */
export async function certify(client: VarlinkClient): Promise<boolean> {
  const { client_id } = (await client.call(methods.Start, {})).parameters;
  const { bool } = (await client.call(methods.Test01, { client_id })).parameters;
  const { int } = (await client.call(methods.Test02, { client_id, bool })).parameters;
  const { float } = (await client.call(methods.Test03, { client_id, int })).parameters;
  const { string } = (await client.call(methods.Test04, { client_id, float })).parameters;
  const four = (await client.call(methods.Test05, { client_id, string })).parameters;
  const { struct } = (await client.call(methods.Test06, { client_id, ...four })).parameters;
  const { map } = (await client.call(methods.Test07, { client_id, struct })).parameters;
  const { set } = (await client.call(methods.Test08, { client_id, map })).parameters;
  const { mytype } = (await client.call(methods.Test09, { client_id, set })).parameters;
  const all = await lastValueFrom(client.more(methods.Test10, { client_id, mytype }).pipe(toArray()));
  client.oneway(methods.Test11, { client_id, last_more_replies: all.map(({ parameters }) => parameters.string) });
  return (await client.call(methods.End, { client_id })).parameters.all_ok;
}
