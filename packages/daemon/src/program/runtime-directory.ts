/** Where socket, userdb link and registry are unless told otherwise: where clients and systemd-nsresourced have them. */
export const RUNTIME_DIRECTORY = '/run/systemd';

/** Where clients find the daemon. */
export function socketPath(runtimeDirectory: string): string {
  return `${runtimeDirectory}/io.systemd.NamespaceResource`;
}

/** Where systemd-report(1) looks for the daemon's metrics. */
export function reportPath(runtimeDirectory: string): string {
  return `${runtimeDirectory}/report/io.systemd.NamespaceResource`;
}

/** Where the daemon can be told what to do. */
export function controlPath(runtimeDirectory: string): string {
  return `${runtimeDirectory}/nsresource/control`;
}
