/** Runs what `body` does at once as a user. The peer of a socket is who connected it: unix(7) SO_PEERCRED. */
export function asUser<T>(uid: number, body: () => T): T {
  process.setegid?.(uid);
  process.seteuid?.(uid);
  try {
    return body();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}
