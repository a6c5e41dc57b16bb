/** Takes a line of the log, without its end. What libbpf says is `warning`, `info` or `debug`, as libbpf ranks it. */
export type BpfLog = (level: 'warning' | 'notice' | 'info' | 'debug', message: string) => void;

/** A line of the log that waits to be told. */
export interface LogLine {
  readonly level: 'warning' | 'info' | 'debug';
  readonly message: string;
}
