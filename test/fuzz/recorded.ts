/** One call of a session, as a client sent it, and how many descriptors came with it. */
export interface RecordedCall {
  readonly text: string;
  readonly fds: number;
}

const NAMESPACES = 'io.systemd.NamespaceResource';
const USERS = 'io.systemd.UserDatabase';

function recorded(method: string, parameters: object, fds = 0, flags: object = {}): RecordedCall {
  return { text: JSON.stringify({ method, parameters, ...flags }), fds };
}

/** What systemd's clients say (systemd-nspawn, systemd-dissect, mountfsd, NSS, userdbctl, varlinkctl), call by call. */
export const recordedCalls: readonly RecordedCall[] = [
  recorded(
    `${NAMESPACES}.AllocateUserRange`,
    { name: 'nspawn-1', mangleName: true, size: 65536, target: 0, userNamespaceFileDescriptor: 0 },
    1,
  ),
  recorded(`${NAMESPACES}.AllocateUserRange`, { name: 'dissect', size: 65536, userNamespaceFileDescriptor: 0 }, 1),
  recorded(`${NAMESPACES}.AllocateUserRange`, { name: 'unit', size: 1, target: 0, userNamespaceFileDescriptor: 0 }, 1),
  recorded(`${NAMESPACES}.RegisterUserNamespace`, { name: 'session', userNamespaceFileDescriptor: 0 }, 1),
  recorded(`${NAMESPACES}.AddMountToUserNamespace`, { userNamespaceFileDescriptor: 0, mountFileDescriptor: 1 }, 2),
  recorded(
    `${NAMESPACES}.AddControlGroupToUserNamespace`,
    { userNamespaceFileDescriptor: 0, controlGroupFileDescriptor: 1 },
    2,
  ),
  recorded(
    `${NAMESPACES}.AddNetworkToUserNamespace`,
    {
      userNamespaceFileDescriptor: 0,
      networkNamespaceFileDescriptor: 1,
      namespaceInterfaceName: 'host0',
      mode: 'veth',
    },
    2,
  ),
  recorded(`${USERS}.GetUserRecord`, { uid: 1429471232, service: NAMESPACES }),
  recorded(`${USERS}.GetUserRecord`, { userName: 'ns-probe-0', service: NAMESPACES }),
  recorded(`${USERS}.GetUserRecord`, { service: NAMESPACES }, 0, { more: true }),
  recorded(`${USERS}.GetGroupRecord`, { gid: 1429471232, service: NAMESPACES }),
  recorded(`${USERS}.GetGroupRecord`, { groupName: 'ns-probe-0', service: NAMESPACES }),
  recorded(`${USERS}.GetMemberships`, { userName: 'ns-probe-0', service: NAMESPACES }, 0, { more: true }),
  recorded(`${USERS}.GetMemberships`, { groupName: 'ns-probe-0', service: NAMESPACES }, 0, { more: true }),
  { text: '{"method":"org.varlink.service.GetInfo"}', fds: 0 },
  recorded('org.varlink.service.GetInterfaceDescription', { interface: NAMESPACES }),
  recorded('org.varlink.service.GetInterfaceDescription', { interface: USERS }),
];
