import { fdIndex, field, optional, uint32, varlinkInterface } from '@sdrx/varlink';
import * as t from 'io-ts';

const requestedName = {
  name: field(t.string, 'What the namespace is for; clients other than root get their uid put in front.'),
  // What clients since systemd 258 say.
  mangleName: optional(t.boolean, 'Whether another name will do where this one is not valid; false by default.'),
};
const givenName = { name: optional(t.string, 'The name that it is registered by.') };

/** Whose ids a namespace gets. */
const allocateUserRangeType = t.keyof({
  managed: 'Transient ones that nobody else has.',
  self: "The client's own, and its groups can not be changed.",
});

const usernsFd = field(fdIndex, 'The user namespace, as the index of a passed file descriptor.');

/** The API of systemd-nsresourced(8). */
export const namespaceResource = varlinkInterface({
  name: 'io.systemd.NamespaceResource',
  description: 'Gives user namespaces what unprivileged users can not give them by themselves.',
  methods: {
    AllocateUserRange: {
      description: 'Maps user and group ids into a new user namespace without mappings, and registers it.',
      parameters: {
        ...requestedName,
        size: field(uint32, 'How many ids, 1 or 65536; with the type self 1.'),
        target: optional(
          uint32,
          'The first id inside, 0 by default. With the type self 0 or nothing: then it is the same as outside.',
        ),
        userNamespaceFileDescriptor: usernsFd,
        type: optional(allocateUserRangeType, 'Whose ids it gets, managed by default.'),
        delegateContainerRanges: optional(
          uint32,
          'How many ranges of 65536 transient ids it gets besides, for namespaces within it, 0 to 16; 0 by default. Their ids are the same inside.',
        ),
        mapForeign: optional(
          t.boolean,
          'Whether the ids that stand for owners in images of containers are mapped to themselves; false by default.',
        ),
      },
      reply: givenName,
    },
    RegisterUserNamespace: {
      description: 'Registers a user namespace that has its mappings already.',
      parameters: {
        ...requestedName,
        userNamespaceFileDescriptor: usernsFd,
      },
      reply: givenName,
    },
    AddMountToUserNamespace: {
      description: 'Lets the tasks of a registered user namespace own files on a mount.',
      parameters: {
        userNamespaceFileDescriptor: usernsFd,
        mountFileDescriptor: field(fdIndex, 'The mount, as the index of a passed file descriptor.'),
      },
    },
    AddControlGroupToUserNamespace: {
      description: 'Hands a control group to a registered user namespace.',
      parameters: {
        userNamespaceFileDescriptor: usernsFd,
        controlGroupFileDescriptor: field(fdIndex, 'The control group, as the index of a passed file descriptor.'),
      },
    },
    AddNetworkToUserNamespace: {
      description: 'Connects a registered user namespace with the network of the host.',
      parameters: {
        userNamespaceFileDescriptor: usernsFd,
        networkNamespaceFileDescriptor: optional(
          fdIndex,
          'For veth, a network namespace of the user namespace, as the index of a passed file descriptor.',
        ),
        namespaceInterfaceName: optional(t.string, 'For veth, the name of the interface inside, host0 by default.'),
        mode: field(t.string, 'veth: by a cable to the network namespace. tap: by a descriptor of Ethernet frames.'),
      },
      reply: {
        hostInterfaceName: field(t.string, 'The name of the interface that the host has.'),
        namespaceInterfaceName: optional(t.string, 'For veth, the name of the one inside.'),
        interfaceFileDescriptor: optional(fdIndex, 'For tap, the index of the descriptor that comes with the reply.'),
      },
    },
  },
  types: { AllocateUserRangeType: { codec: allocateUserRangeType, description: 'Whose ids a namespace gets.' } },
  errors: {
    UserNamespaceInterfaceNotSupported: { description: 'This kernel can not restrict user namespaces.' },
    NameExists: { description: 'A namespace, user or group has this name already.' },
    UserNamespaceExists: { description: 'The user namespace is registered already.' },
    DynamicRangeUnavailable: { description: 'The service has none of the ids that it may give away.' },
    NoDynamicRange: { description: 'No free range was found.' },
    UserNamespaceNotRegistered: { description: 'The user namespace is not registered.' },
    UserNamespaceWithoutUserRange: { description: 'The user namespace was not given a range.' },
    TooManyNetworkInterfaces: { description: 'The user namespace has as many network interfaces as it may.' },
    TooManyControlGroups: { description: 'The user namespace has as many control groups as it may.' },
    TooManyDelegations: { description: 'So many ranges are not given to a namespace for those within it.' },
    ControlGroupAlreadyAdded: { description: 'The user namespace has this control group already.' },
  },
});
