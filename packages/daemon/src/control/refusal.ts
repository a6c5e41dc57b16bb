import type { NamespaceRequest } from './namespace-request.js';
import type { ServiceError } from './service-error.js';

type Explanation = (request: NamespaceRequest, parameters: ServiceError['parameters']) => string;

const CHECK = "'nsresourcectl check' tells what this machine lacks";

/** What the daemon's errors mean to who called, and what helps. */
const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  'io.systemd.NamespaceResource.UserNamespaceInterfaceNotSupported': () =>
    "the daemon gives no ids here, as the kernel can't keep their files from outliving them: " +
    `${CHECK}; nsresourced --userns-restrict=off does without`,
  'io.systemd.NamespaceResource.NameExists': ({ name = '' }) =>
    `there is a namespace, user or group of the name '${name}' already: take another --name=, or see 'nsresourcectl list'`,
  'io.systemd.NamespaceResource.NoDynamicRange': ({ size }) =>
    `no ${size === 1 ? 'id' : 'range of ids'} is free: see 'nsresourcectl list' for who has them`,
  'io.systemd.NamespaceResource.DynamicRangeUnavailable': () =>
    'the daemon has no ids to give: it runs in a user namespace that lacks those from 524288 to 1879048191',
  'io.systemd.NamespaceResource.TooManyNetworkInterfaces': () =>
    'the namespace has as many network interfaces as one may have',
  'org.varlink.service.PermissionDenied': () => 'the daemon does not allow it, or polkit does not',
  'org.varlink.service.InvalidParameter': ({ name = '' }, { parameter }) =>
    parameter === 'name'
      ? `--name=${name} is not possible: letters, digits, _ and -, a letter first, 22 in all with UID- in front`
      : `the daemon does not take the '${String(parameter)}' that was asked for`,
  'io.systemd.System': (_, { errnoName, errno }) => {
    const code = typeof errnoName === 'string' ? errnoName : `errno ${String(errno)}`;
    return SYSTEM[code] ?? `the daemon could not do it: ${code}`;
  },
};

const SYSTEM: Readonly<Record<string, string>> = {
  EUSERS: "you have as many namespaces as one user may have: see 'nsresourcectl list'",
  EBUSY: 'the daemon is too busy: try again',
  ETIMEDOUT: 'something that the daemon had to wait for took too long: try again',
  EEXIST: 'an interface of the name is there already',
};

/** An error reply in words, with what to do. */
export function explainRefusal(error: ServiceError, request: NamespaceRequest): Error {
  const explanation = EXPLANATIONS[error.error];
  const text = explanation === undefined ? error.message : `${explanation(request, error.parameters)} (${error.error})`;
  return new Error(text, { cause: error });
}
