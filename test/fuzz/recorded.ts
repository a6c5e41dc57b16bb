/** One call of a session, as a client sent it, and how many descriptors came with it. */
export interface RecordedCall {
  readonly text: string;
  readonly fds: number;
}

/**
 * What userdbctl, varlinkctl, getent(1) and id(1) of systemd 257 sent to the daemon, taken down between them: of a user that is
 * there, of others, lists, and what the service says of itself.
 */
const lookups = [
  '{"method":"io.systemd.UserDatabase.GetGroupRecord","parameters":{"gid":1622999041,"service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetGroupRecord","parameters":{"gid":65534,"service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetGroupRecord","parameters":{"groupName":"ns-probe-0","service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetGroupRecord","parameters":{"groupName":"ns-probe-3","service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetGroupRecord","parameters":{"service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetMemberships","parameters":{"groupName":"ns-probe-0","service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetMemberships","parameters":{"groupName":"ns-probe-1","service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetMemberships","parameters":{"groupName":"ns-probe-3","service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetMemberships","parameters":{"service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetMemberships","parameters":{"userName":"ns-probe-0","service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"service":"io.systemd.NamespaceResource"},"more":true}',
  '{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"uid":1622999040,"service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"uid":736690176,"service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"userName":"ns-probe-0","service":"io.systemd.NamespaceResource"}}',
  '{"method":"io.systemd.UserDatabase.GetUserRecord","parameters":{"userName":"ns-probe-7","service":"io.systemd.NamespaceResource"}}',
  '{"method":"org.varlink.service.GetInfo","parameters":{},"oneway":true}',
  '{"method":"org.varlink.service.GetInfo","parameters":{}}',
  '{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.systemd"}}',
  '{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.systemd.NamespaceResource"}}',
  '{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.systemd.UserDatabase"}}',
  '{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.varlink.service"}}',
];

const NAMESPACES = 'io.systemd.NamespaceResource';

function allocation(method: string, parameters: object, fds: number): RecordedCall {
  return { text: JSON.stringify({ method: `${NAMESPACES}.${method}`, parameters }), fds };
}

/** What clients that pass descriptors say: systemd-nspawn, systemd-dissect, mountfsd and the tests' own ones. */
const allocations = [
  allocation(
    'AllocateUserRange',
    { name: 'nspawn-1', mangleName: true, size: 65536, target: 0, userNamespaceFileDescriptor: 0 },
    1,
  ),
  allocation('AllocateUserRange', { name: 'dissect', size: 65536, userNamespaceFileDescriptor: 0 }, 1),
  allocation('AllocateUserRange', { name: 'unit', size: 1, target: 0, userNamespaceFileDescriptor: 0 }, 1),
  allocation(
    'AllocateUserRange',
    { name: 'own', size: 1, target: 0, type: 'self', mapForeign: true, userNamespaceFileDescriptor: 0 },
    1,
  ),
  allocation(
    'AllocateUserRange',
    { name: 'nest', mangleName: true, size: 65536, delegateContainerRanges: 2, userNamespaceFileDescriptor: 0 },
    1,
  ),
  allocation('RegisterUserNamespace', { name: 'session', userNamespaceFileDescriptor: 0 }, 1),
  allocation('AddMountToUserNamespace', { userNamespaceFileDescriptor: 0, mountFileDescriptor: 1 }, 2),
  allocation('AddControlGroupToUserNamespace', { userNamespaceFileDescriptor: 0, controlGroupFileDescriptor: 1 }, 2),
  allocation(
    'AddNetworkToUserNamespace',
    {
      userNamespaceFileDescriptor: 0,
      networkNamespaceFileDescriptor: 1,
      namespaceInterfaceName: 'host0',
      mode: 'veth',
    },
    2,
  ),
  allocation('AddNetworkToUserNamespace', { userNamespaceFileDescriptor: 0, mode: 'tap' }, 1),
];

export const recordedCalls: readonly RecordedCall[] = [...lookups.map((text) => ({ text, fds: 0 })), ...allocations];
