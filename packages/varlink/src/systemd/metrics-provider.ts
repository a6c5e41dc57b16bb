import { checkFunction, checkObject } from '@sdrx/linux';
import * as t from 'io-ts';
import { defer, from, map, throwIfEmpty } from 'rxjs';
import { requireText } from '../arguments.js';
import { anyValue, foreignObject } from '../codecs.js';
import { requireName } from '../idl/names.js';
import { varlinkInterface } from '../interface.js';
import { type Implementation, implement } from '../service.js';
import { field, optional } from '../struct.js';

const MetricFamilyType = t.keyof({
  counter: 'Only grows',
  gauge: 'Goes up and down',
  string: 'A text',
  object: 'An object of any kind',
});

/** What a service tells in numbers; systemd-report(1) collects it from the sockets in /run/systemd/report. */
export const metricsInterface = varlinkInterface({
  name: 'io.systemd.Metrics',
  description: 'What a service tells of itself in numbers.',
  types: { MetricFamilyType: { description: 'What the values of a family are.', codec: MetricFamilyType } },
  methods: {
    List: {
      description: 'All metrics, each in a reply.',
      more: 'required',
      reply: {
        name: field(t.string, 'Of its family'),
        object: optional(t.string, 'What it is of, such as a unit or a process'),
        fields: optional(foreignObject, 'What tells it from others of its family'),
        value: field(anyValue, 'As the type of its family says'),
      },
    },
    Describe: {
      description: 'The families that metrics belong to, each in a reply.',
      more: 'required',
      reply: {
        name: field(t.string),
        description: field(t.string),
        type: field(MetricFamilyType),
      },
    },
  },
  errors: { NoSuchMetric: { description: 'There is none.' } },
});

/** Metrics of one name. */
export interface MetricFamily {
  /** The name of the socket, a dot, and a word: `org.example.board.notesTotal`. */
  readonly name: string;
  readonly description: string;
  readonly type: t.TypeOf<typeof MetricFamilyType>;
}

/** One value. */
export interface Metric {
  /** Of its family. */
  readonly name: string;
  /** What it is of. */
  readonly object?: string | undefined;
  /** What tells it from others of its family. */
  readonly fields?: Readonly<Record<string, string>> | undefined;
  readonly value: number | string | Readonly<Record<string, unknown>>;
}

/**
 * Implements `io.systemd.Metrics`, for `service`. Anybody who may connect is answered.
 *
 * @param families all that there are
 * @param read gives the values as they are now; a value that is no finite number is left out, as JSON has none
 * @throws TypeError for a name that systemd-report does not take, and for wrong arguments, by their names
 */
export function metricsProvider(families: readonly MetricFamily[], read: () => Iterable<Metric>): Implementation {
  if (!Array.isArray(families)) throw new TypeError('`families` must be an array');
  for (const [index, family] of families.entries()) requireFamily(family, `families[${index}]`);
  checkFunction('read', read);
  const none = () => metricsInterface.errors.NoSuchMetric();
  return implement(metricsInterface, {
    List: () =>
      defer(() => from([...read()].filter(({ value }) => typeof value !== 'number' || Number.isFinite(value)))).pipe(
        map(({ name, object, fields, value }) => ({ name, object, fields, value })),
        throwIfEmpty(none),
      ),
    Describe: () =>
      from(families).pipe(
        map(({ name, description, type }) => ({ name, description, type })),
        throwIfEmpty(none),
      ),
  });
}

function requireFamily(family: MetricFamily, where: string): void {
  checkObject(where, family);
  requireText(family.name, `${where}.name`);
  requireText(family.description, `${where}.description`);
  const dot = family.name.lastIndexOf('.');
  requireName('interface', family.name.slice(0, Math.max(dot, 0)));
  requireName('field', family.name.slice(dot + 1));
  if (!MetricFamilyType.is(family.type)) {
    throw new TypeError(`\`${where}.type\` must be one of ${Object.keys(MetricFamilyType.keys).join(', ')}`);
  }
}
