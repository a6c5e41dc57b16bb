import type { JournalFields } from '@sdrx/event';

/**
 * What kinds of messages there are that somebody may look for, by the id that the journal has of each: MESSAGE_ID of
 * systemd.journal-fields(7). docs/daemon.md lists them. One that was ever published keeps its meaning.
 */
export const MESSAGE_IDS = {
  callFailed: '0f80133e-114a-4b53-be04-c109735fe8e3',
  clientRefused: '54b07b4c-dc10-4ff8-a9bd-89b3b6cda139',
  descriptorHangs: '2ccec8a1-0654-4473-b44f-21ba455256f0',
  namespaceReleased: 'e474ded0-39e9-450c-87f0-e6aec5be76b9',
  namespaceKept: '21d5ae6b-f1cb-42e9-96a4-325f3e3a383a',
  releaseFailed: '0d6b9c00-3711-4fdb-bee6-521cd88f1edd',
  workerFailed: 'a063fe68-d647-4d4a-9903-ceeeacb03384',
  workerSilent: 'e725a42e-e3e9-4d88-b9da-b60443db68a9',
  workerNotStarted: '81a9dcb7-38c4-4874-8c33-b57c0e0eb2a7',
  restrictionOff: '27efc0ff-035f-443a-adda-d7181b0d0060',
  registryRepaired: '576ae123-b5c7-45b7-8b79-5e961163d029',
  reloaded: '101de740-3701-44df-8f4c-c4461697f192',
  reloadFailed: 'ecc1fb5e-059c-477a-b1d6-fb960912dfea',
  suppressed: '89761ee0-bdcf-4c25-abcc-d3cd19c6a01f',
} as const;

/** What the journal is told beside a message: its kind, and what it is about. */
export function about(kind: keyof typeof MESSAGE_IDS, fields: JournalFields = {}): JournalFields {
  return { MESSAGE_ID: MESSAGE_IDS[kind], ...fields };
}

/** The fields of a namespace, as far as it is known. */
export function aboutNamespace({ inode, entry }: NamespaceKnown): JournalFields {
  return { USERNS_INODE: inode, USERNS_NAME: entry?.name, USER_ID: entry?.owner };
}

interface NamespaceKnown {
  readonly inode: number;
  readonly entry?: { readonly name: string; readonly owner: number } | undefined;
}
