/** Where socket, userdb link and registry are unless told otherwise: where clients and systemd-nsresourced have them. */
export const RUNTIME_DIRECTORY = '/run/systemd';
