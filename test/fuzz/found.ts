/** A session that once went wrong, as `npm run fuzz` printed it. */
export interface FoundSession {
  readonly why: string;
  readonly uid: number;
  /** Each character is a byte. */
  readonly bytes: string;
  /** Descriptors by the names of their kinds. */
  readonly pieces: readonly { readonly end: number; readonly fds: readonly string[] }[];
}

const REGISTER =
  '{"method":"io.systemd.NamespaceResource.RegisterUserNamespace","parameters":{"name":"session","userNamespaceFileDescriptor":0}}\0';

export const foundSessions: readonly FoundSession[] = [
  {
    why: 'descriptors that are not held were asked for twice: while the call before is answered, and until their message ends',
    uid: 0,
    bytes: `${REGISTER}{"method":"a.b"}\0`,
    pieces: [
      { end: 1, fds: ["a user's user namespace"] },
      { end: REGISTER.length, fds: [] },
      { end: REGISTER.length + 1, fds: ['socket', 'our mnt namespace'] },
      { end: REGISTER.length + 17, fds: [] },
    ],
  },
];
