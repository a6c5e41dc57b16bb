import { checkArray, checkText } from '@sdrx/linux';

/** What keeps a BPF program from working, as far as it can be told. */
export type BpfErrorCode =
  /** There is no libbpf. */
  | 'ERR_LIBBPF_MISSING'
  /** There is one, but it lacks what is needed. */
  | 'ERR_LIBBPF_TOO_OLD'
  /** The object file is not there, or is none. */
  | 'ERR_BPF_OBJECT'
  /** The kernel has no BPF among its active security modules. */
  | 'ERR_BPF_LSM'
  /** The kernel does not describe its types. */
  | 'ERR_BPF_BTF'
  /** A capability is missing, or lockdown or another policy forbids it. */
  | 'ERR_BPF_NOT_PERMITTED'
  /** The kernel's verifier refuses a program; its reasons are in `log`. */
  | 'ERR_BPF_VERIFIER'
  /** There is no BPF file system where something is to be pinned. */
  | 'ERR_BPF_FILE_SYSTEM'
  /** The kernel lacks what a program is to be attached to. */
  | 'ERR_BPF_ATTACH'
  /** Another process is told of dead namespaces already. */
  | 'ERR_BPF_IN_USE'
  /** Anything else; `cause` and `log` may tell. */
  | 'ERR_BPF_LOAD';

/** A BPF program that can't be loaded or attached, with the reason in `code`. */
export class BpfError extends Error {
  /** Always this. */
  override readonly name = 'BpfError';

  /**
   * @param code the reason
   * @param message the reason in words
   * @param log what libbpf and the kernel's verifier said of it, line by line
   */
  constructor(
    readonly code: BpfErrorCode,
    message: string,
    readonly log: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    checkText('code', code);
    checkText('message', message);
    checkArray('log', log, checkText);
    super(message, options);
  }
}
