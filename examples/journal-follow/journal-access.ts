import { bool, field, foreignObject, int, optional, string, varlinkInterface } from '@sdrx/varlink';
import * as t from 'io-ts';

/** What the journal has, since systemd 262 also while it grows. */
export const journalAccess = varlinkInterface({
  name: 'io.systemd.JournalAccess',
  description: 'What the journal has, since systemd 262 also while it grows.',
  methods: {
    GetEntries: {
      description: 'The newest entries that fit, in their order.',
      more: 'required',
      parameters: {
        units: optional(t.array(string), 'Of these units, such as ssh.service'),
        uid: optional(int, 'Whose units the next ones are'),
        userUnits: optional(t.array(string), 'Of these units of a user'),
        namespace: optional(string, 'Of another namespace of the journal than the usual one'),
        priority: optional(int, 'Of this priority and more important ones, from 0, emergencies, to 7'),
        limit: optional(int, 'How many there are at most before new ones are waited for, up to 10000'),
        follow: optional(bool, 'Whether new ones are waited for'),
      },
      reply: {
        entry: field(foreignObject, 'Its fields, as journalctl --output=json prints them'),
      },
    },
  },
  errors: {
    NoMatches: {
      description: 'None of the units is known.',
    },
    NoEntries: {
      description: 'No entry fits.',
    },
  },
});
