import { field, foreignObject, optional, uint32, varlinkInterface } from '@sdrx/varlink';
import * as t from 'io-ts';

const service = field(t.string, 'The service that is asked.');

/** The API of user databases, https://systemd.io/USER_GROUP_API. */
export const userDatabase = varlinkInterface({
  name: 'io.systemd.UserDatabase',
  description: 'Looks up users and groups.',
  methods: {
    GetUserRecord: {
      description: 'Finds a user by id, by name, or by both.',
      more: true,
      parameters: { uid: optional(uint32), userName: optional(t.string), service },
      reply: { record: field(foreignObject, 'https://systemd.io/USER_RECORD'), incomplete: optional(t.boolean) },
    },
    GetGroupRecord: {
      description: 'Finds a group by id, by name, or by both.',
      more: true,
      parameters: { gid: optional(uint32), groupName: optional(t.string), service },
      reply: { record: field(foreignObject, 'https://systemd.io/GROUP_RECORD'), incomplete: optional(t.boolean) },
    },
    GetMemberships: {
      description: 'Finds who is in which group.',
      more: true,
      parameters: { userName: optional(t.string), groupName: optional(t.string), service },
      reply: { userName: field(t.string), groupName: field(t.string) },
    },
  },
  errors: {
    NoRecordFound: { description: 'There is no such user or group.' },
    BadService: { description: 'Another service was asked than this one.' },
    ServiceNotAvailable: { description: 'The service can not answer now.' },
    ConflictingRecordFound: { description: 'Name and id are of different users or groups.' },
    EnumerationNotSupported: { description: 'This service does not list all that it has.' },
  },
});
