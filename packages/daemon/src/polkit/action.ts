/** What polkit is asked about. The policy that has them is `polkit/sdrx-nsresourced.policy` of the package. polkit(8) */
export const ACTIONS = {
  allocate: 'io.systemd.namespace-resource.allocate-user-namespace',
  register: 'io.systemd.namespace-resource.register-user-namespace',
  delegateMount: 'io.systemd.namespace-resource.delegate-mount',
  delegateCgroup: 'io.systemd.namespace-resource.delegate-cgroup',
  delegateNetworkInterface: 'io.systemd.namespace-resource.delegate-network-interface',
} as const;

export type Action = (typeof ACTIONS)[keyof typeof ACTIONS];

/** What a rule may look at, beside who asks. */
export type Details = Readonly<Record<string, string>>;
