/** As much of npm's respawn as is used here. */
declare module 'respawn' {
  interface Monitor {
    on(event: 'stdout' | 'stderr' | 'exit', listener: () => void): void;
    start(): void;
    stop(): void;
  }

  interface Options {
    readonly maxRestarts: number;
    /** In milliseconds. */
    readonly sleep: () => number;
    readonly stdio: readonly string[];
  }

  function respawn(command: readonly (string | undefined)[], options: Options): Monitor;
  export = respawn;
}
