/** Where socket, userdb link and registry are unless told otherwise: where clients and systemd-nsresourced have them. */
export const RUNTIME_DIRECTORY = '/run/systemd';

/** Where the daemon can be told what to do. */
export function controlPath(runtimeDirectory: string): string {
  return `${runtimeDirectory}/nsresource/control`;
}
