/** The numbers of system calls that are made without the C library, on x86-64 and arm64. syscalls(2), asm/unistd.h */
export const SYSCALLS = process.arch === 'arm64' ? ofArm64() : ofX64();

/** A system call that a new process makes before it is its program. */
export type SyscallName = keyof ReturnType<typeof ofX64>;

function ofX64() {
  return {
    chdir: 80,
    close: 3,
    close_range: 436,
    dup3: 292,
    execve: 59,
    fcntl: 72,
    futex: 202,
    getppid: 110,
    openat: 257,
    prctl: 157,
    prlimit64: 302,
    rt_sigaction: 13,
    rt_sigprocmask: 14,
    setgroups: 116,
    setpgid: 109,
    setresgid: 119,
    setresuid: 117,
    setsid: 112,
    umask: 95,
  };
}

function ofArm64(): Record<SyscallName, number> {
  return {
    chdir: 49,
    close: 57,
    close_range: 436,
    dup3: 24,
    execve: 221,
    fcntl: 25,
    futex: 98,
    getppid: 173,
    openat: 56,
    prctl: 167,
    prlimit64: 261,
    rt_sigaction: 134,
    rt_sigprocmask: 135,
    setgroups: 159,
    setpgid: 154,
    setresgid: 149,
    setresuid: 147,
    setsid: 157,
    umask: 166,
  };
}
