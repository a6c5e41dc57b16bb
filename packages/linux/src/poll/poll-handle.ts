/** What koffi's PollHandle has: a descriptor that Node's own loop watches. */
export interface PollHandle {
  unref(): void;
  stop(): void;
  start(options: { readonly readable: true }, ready: () => void): void;
  close(): void;
}
