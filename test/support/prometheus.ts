/** A family of metrics as Prometheus reads it. */
export interface ParsedFamily {
  readonly help: string;
  readonly type: string;
  /** Values by their names and labels, as they stand in the text. */
  readonly samples: ReadonlyMap<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABELS = '\\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*",?)*\\}';
const SAMPLE = new RegExp(`^((${NAME})(?:${LABELS})?) (\\+Inf|-Inf|NaN|-?[0-9.]+(?:e[+-]?[0-9]+)?)$`);

/** Reads text in the exposition format, and throws for what is none: a sample without its family before it, say, or one that comes twice. */
export function parsePrometheus(text: string): Map<string, ParsedFamily> {
  const families = new Map<string, ParsedFamily>();
  let current: { name: string; samples: Map<string, number> } | undefined;
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const lines = text.slice(0, -1).split('\n');
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    const [, name, help] = new RegExp(`^# HELP (${NAME}) (.+)$`).exec(line) ?? [];
    if (name !== undefined && help !== undefined) {
      const [, typed, type] =
        new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(lines[++index] ?? '') ?? [];
      if (typed !== name || type === undefined || families.has(name)) throw new Error(`no family: ${line}`);
      current = { name, samples: new Map() };
      families.set(name, { help, type, samples: current.samples });
      continue;
    }
    const [, key = '', metric = '', value = ''] = SAMPLE.exec(line) ?? [];
    const suffixes = families.get(current?.name ?? '')?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    const belongs = suffixes.some((suffix) => metric === `${current?.name}${suffix}`);
    if (current === undefined || !belongs || current.samples.has(key)) throw new Error(`no sample: ${line}`);
    current.samples.set(key, Number(value.replace('Inf', 'Infinity')));
  }
  return families;
}

/** The value of a sample, by its name and labels as they stand in the text. */
export function sampleOf(families: ReadonlyMap<string, ParsedFamily>, key: string): number | undefined {
  for (const { samples } of families.values()) if (samples.has(key)) return samples.get(key);
  return undefined;
}
