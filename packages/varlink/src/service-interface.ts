import * as t from 'io-ts';
import { int } from './codecs.js';
import { varlinkInterface } from './interface.js';
import { field, optional } from './struct.js';

/** What every service provides. varlink.org/Service */
export const varlinkService = varlinkInterface({
  name: 'org.varlink.service',
  description: 'What every Varlink service provides.',
  methods: {
    GetInfo: {
      description: 'Who made this service, and which interfaces it has.',
      reply: {
        vendor: field(t.string),
        product: field(t.string),
        version: field(t.string),
        url: field(t.string),
        interfaces: field(t.array(t.string)),
      },
    },
    GetInterfaceDescription: {
      description: 'The definition of one of the interfaces.',
      parameters: { interface: field(t.string) },
      reply: { description: field(t.string, 'In the Varlink interface definition language') },
    },
  },
  errors: {
    InterfaceNotFound: { description: 'No such interface here.', fields: { interface: field(t.string) } },
    MethodNotFound: { description: 'No such method here.', fields: { method: field(t.string) } },
    MethodNotImplemented: {
      description: 'The interface has this method, but this service does not implement it.',
      fields: { method: field(t.string) },
    },
    InvalidParameter: {
      description: 'A parameter is unknown, missing, of a wrong type or out of its range.',
      fields: { parameter: field(t.string) },
    },
    PermissionDenied: { description: 'The client may not do this.' },
    ExpectedMore: { description: "The method can only be called with 'more'." },
    ExpectedUpgrade: { description: "The method can only be called with 'upgrade'." },
  },
});

/** Errors that belong to no interface in particular, as systemd's services give them. */
export const systemdService = varlinkInterface({
  name: 'io.systemd',
  description: 'Errors that any method may give.',
  errors: {
    System: {
      description: 'A system call failed.',
      fields: {
        origin: optional(t.string, "Whose numbers these are: 'linux'"),
        errnoName: optional(t.string, 'Such as ENOENT'),
        errno: field(int, 'A positive number, errno(3)'),
      },
    },
  },
});
