const steps = new Set<() => void>();

process.on('exit', () => {
  for (const step of [...steps].reverse()) step();
});
// Not `once`: a second signal must not end us while we clean up.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));

/**
 * Has something undone however this program ends, interrupted or failed included; last come, first undone.
 * @returns takes that back, for what is undone already
 */
export function atExit(step: () => void): () => void {
  steps.add(step);
  return () => steps.delete(step);
}
