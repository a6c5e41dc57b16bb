import { fstatSync, openSync } from 'node:fs';
import { Fd } from '@sdrx/linux';
import {
  type Call,
  fdIndex,
  field,
  foreignObject,
  type HandlersOf,
  type Implementation,
  implement,
  int,
  optional,
  struct,
  varlinkInterface,
} from '@sdrx/varlink';
import * as t from 'io-ts';
import { from, map, NEVER } from 'rxjs';

const Colour = t.keyof({ red: null, green: null, light_blue: null });
const Point = struct({ x: field(int), y: field(int, 'Downwards') });

/** An interface with a bit of everything. */
export const example = varlinkInterface({
  name: 'org.example.test',
  description: 'For tests.\n\nTwo paragraphs of it.',
  types: { Colour: { codec: Colour, description: 'A colour' }, Point: { codec: Point } },
  methods: {
    Echo: {
      description: 'Answers with what it was given.',
      parameters: {
        text: field(t.string, 'Any text'),
        number: optional(int),
        ratio: optional(t.number),
        flag: optional(t.boolean),
        colour: optional(Colour),
        points: optional(t.array(Point), 'Several\nlines'),
        names: optional(t.record(t.string, t.string)),
        thing: optional(foreignObject),
      },
      reply: { text: field(t.string), number: optional(int), points: optional(t.array(Point)) },
    },
    Nothing: {},
    Count: { more: true, parameters: { to: field(int) }, reply: { value: field(int) } },
    Watch: { more: 'required', reply: { value: field(int) } },
    Fail: { parameters: { how: field(t.keyof({ system: null, type: null, declared: null, plain: null })) } },
    Unimplemented: {},
    Later: { parameters: { value: field(int) }, reply: { value: field(int) } },
    Inode: { parameters: { fd: field(fdIndex) }, reply: { inode: field(int), count: field(int) } },
    Keep: { parameters: { fd: field(fdIndex) } },
    Open: { parameters: { path: field(t.string) }, reply: { fd: field(fdIndex) } },
    OpenAll: { more: true, parameters: { paths: field(t.array(t.string)) }, reply: { fds: field(t.array(fdIndex)) } },
    Mirror: {
      parameters: { thing: field(foreignObject), ratio: optional(t.number) },
      reply: { thing: field(foreignObject), ratio: optional(t.number) },
    },
  },
  errors: { Refused: { description: 'No.', fields: { why: field(t.string), when: optional(int) } }, Plain: {} },
});

type Handlers = HandlersOf<typeof example>;

/** Handlers that answer at once; a test adds those it is about. */
export function exampleService(handlers: Handlers = {}): Implementation[] {
  return [
    implement(example, {
      Echo: ({ text, number, points }) => ({ text, number, points }),
      Nothing: () => {},
      Watch: () => NEVER,
      Inode: ({ fd }, call) => ({ inode: fstatSync(call.fd(fd)).ino, count: call.fdCount }),
      Mirror: ({ thing, ratio }) => ({ thing, ratio }),
      OpenAll: ({ paths }, call) =>
        from(paths).pipe(map((path) => ({ fds: [call.passFd(new Fd(openSync(path, 'r')))] }))),
      Open: ({ path }, call) => ({ fd: call.passFd(new Fd(openSync(path, 'r'))) }),
      ...handlers,
    }),
  ];
}

/** A call's text, for a raw client. */
export function call(
  method: string,
  parameters?: object,
  flags: Partial<Pick<Call, 'more' | 'oneway' | 'upgrade'>> = {},
): object {
  return { method: `org.example.test.${method}`, parameters, ...flags };
}
