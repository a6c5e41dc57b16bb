import type { Durations } from './durations.js';

/** What is told first: what one thing does by itself, then what the daemon does, then what everything does together. */
const groups = [/^test\/(linux|event|varlink|types|docs|package|bpf)\//, /^test\/(examples|daemon)\//, /^/];

/** Needs a Debian, a systemd or a broker that may not be unpacked yet. One that is not told fails if it comes too early. */
const needsUnpacked =
  /^test\/(e2e|parity)\/|^test\/varlink\/(certification|interface-text|systemd-\w+)\.|^test\/examples\/(journal-follow|mqtt-listen|on-demand)\./;

/** By what the duration of a test's source is known. */
export function durationKey(source: string): string {
  return source.replace(/^test\/|\.test\.ts$/g, '');
}

/** @returns the same files: those of one group after those of another, in each the quickest first */
export function quickestFirst(sources: readonly string[], durations: Durations): string[] {
  const groupOf = (source: string) => groups.findIndex((group) => group.test(source));
  const seconds = (source: string) => durations[durationKey(source)]?.[0] ?? Infinity;
  return [...sources].sort((one, other) => groupOf(one) - groupOf(other) || seconds(one) - seconds(other));
}

/** @returns those that can run at once, and those that need what is unpacked beside them */
export function byNeed(sources: readonly string[]): [atOnce: string[], later: string[]] {
  return [
    sources.filter((source) => !needsUnpacked.test(source)),
    sources.filter((source) => needsUnpacked.test(source)),
  ];
}
