/**
 * Does something at once as another user, which only root can. The peer of a socket is who connected it: unix(7) SO_PEERCRED.
 * seteuid(2)
 */
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
