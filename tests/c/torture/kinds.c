/* The system calls that the library makes, and how each fails. A call that is not here fails the test. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <sys/syscall.h>

/* clang-format off */
const struct kind KINDS[] = {
    /* files, by path */
    {SYS_openat, "openat", 1, 0, {EMFILE, EIO, ENOSPC, EINTR, ENOMEM, EACCES, ENFILE}},
    {SYS_open, "open", 0, 0, {EMFILE, EIO, ENOSPC, EINTR, ENOMEM, EACCES, ENFILE}},
    {SYS_stat, "stat", 0, 0, {EIO, ENOMEM, EACCES}},
    {SYS_lstat, "lstat", 0, 0, {EIO, ENOMEM, EACCES}},
    {SYS_newfstatat, "newfstatat", 1, 0, {EIO, ENOMEM, EACCES}},
    {SYS_statx, "statx", 1, 1, {EIO, ENOMEM, EACCES, ENOSYS}},
    {SYS_rename, "rename", 1, 0, {EIO, ENOSPC, EACCES, LOST}},
    {SYS_renameat2, "renameat2", 3, 0, {EIO, ENOSPC, EACCES, EINVAL, ENOSYS, LOST}},
    {SYS_link, "link", 1, 0, {EIO, ENOSPC, EPERM, EMLINK}},
    {SYS_linkat, "linkat", 3, 0, {EIO, ENOSPC, EPERM, EMLINK}},
    {SYS_unlink, "unlink", 0, 0, {EIO, EACCES, LOST}},
    {SYS_unlinkat, "unlinkat", 1, 0, {EIO, EACCES, LOST}},
    {SYS_readlink, "readlink", 0, 0, {EIO, ENOMEM}},
    {SYS_getcwd, "getcwd", -1, 0, {ENOENT, EACCES}},
    {SYS_access, "access", 0, 0, {EIO}},
    /* files, by descriptor */
    {SYS_read, "read", -1, 1, {EIO, EINTR, SHORT}},
    {SYS_pread64, "pread64", -1, 1, {EIO, EINTR, SHORT}},
    {SYS_write, "write", -1, 1, {ENOSPC, EIO, EINTR, SHORT, EDQUOT}},
    {SYS_pwrite64, "pwrite64", -1, 1, {ENOSPC, EIO, EINTR, SHORT, EDQUOT}},
    {SYS_fsync, "fsync", -1, 1, {EIO, ENOSPC}},
    {SYS_fdatasync, "fdatasync", -1, 1, {EIO, ENOSPC}},
    {SYS_ftruncate, "ftruncate", -1, 1, {EIO, ENOSPC, EINTR}},
    {SYS_fstat, "fstat", -1, 1, {EIO, ENOMEM}},
    {SYS_fstatfs, "fstatfs", -1, 1, {EIO, ENOSYS}},
    {SYS_flock, "flock", -1, 1, {EAGAIN, EINTR, ENOLCK, EIO}},
    {SYS_fchmod, "fchmod", -1, 1, {EPERM, EIO}},
    {SYS_fchown, "fchown", -1, 1, {EPERM, EIO}},
    {SYS_fsetxattr, "fsetxattr", -1, 1, {ENOTSUP, ENOSPC, EIO}},
    {SYS_fgetxattr, "fgetxattr", -1, 1, {ENOTSUP, ENODATA, EIO}},
    {SYS_getdents64, "getdents64", -1, 1, {EIO, ENOMEM}},
    {SYS_lseek, "lseek", -1, 1, {EIO}},
    {SYS_fcntl, "fcntl", -1, 1, {EMFILE}},
    {SYS_close, "close", -1, 1, {EIO, EINTR}},
    /* the network */
    {SYS_socket, "socket", -1, 0, {EMFILE, ENOBUFS, EACCES, EAFNOSUPPORT, ENFILE}},
    {SYS_connect, "connect", -1, 1, {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EACCES}},
    {SYS_sendto, "sendto", -1, 1, {ECONNRESET, EPIPE, EINTR, EAGAIN, SHORT, ENOBUFS}},
    {SYS_recvfrom, "recvfrom", -1, 1, {ECONNRESET, EINTR, EAGAIN, SHORT, ENOMEM, ETIMEDOUT}},
    {SYS_sendmmsg, "sendmmsg", -1, 1, {ENETUNREACH, EINTR}},
    {SYS_setsockopt, "setsockopt", -1, 1, {ENOMEM, EINVAL}},
    {SYS_getsockopt, "getsockopt", -1, 1, {ENOBUFS}},
    {SYS_getsockname, "getsockname", -1, 1, {ENOBUFS}},
    {SYS_getpeername, "getpeername", -1, 1, {ENOTCONN}},
    {SYS_shutdown, "shutdown", -1, 1, {ENOTCONN}},
    {SYS_ioctl, "ioctl", -1, 1, {EPERM}},
    {SYS_poll, "poll", -1, 0, {EINTR, ENOMEM}},
    {SYS_ppoll, "ppoll", -1, 0, {EINTR, ENOMEM}},
    /* memory, threads and the rest */
    {SYS_mmap, "mmap", -1, 0, {ENOMEM, EPERM}},
    {SYS_mprotect, "mprotect", -1, 0, {ENOMEM}},
    {SYS_madvise, "madvise", -1, 0, {EINVAL, ENOMEM}},
    {SYS_getrandom, "getrandom", -1, 0, {EINTR, ENOSYS, EAGAIN}},
    {SYS_futex, "futex", -1, 0, {EINTR, EAGAIN}},
    {SYS_clock_nanosleep, "clock_nanosleep", -1, 0, {EINTR}},
    {SYS_nanosleep, "nanosleep", -1, 0, {EINTR}},
    {SYS_prctl, "prctl", -1, 0, {EPERM}},
    /* Not a call that is stopped: where the C library starts a thread. */
    {SYS_clone3, "clone3", -1, 0, {EAGAIN}},
    /* These do not fail, or their failure is nothing that a program sees. */
    {SYS_brk, "brk", -1, 0, {0}},
    {SYS_munmap, "munmap", -1, 0, {0}},
    {SYS_rt_sigprocmask, "rt_sigprocmask", -1, 0, {0}},
    {SYS_rt_sigaction, "rt_sigaction", -1, 0, {0}},
    {SYS_rt_sigpending, "rt_sigpending", -1, 0, {0}},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", -1, 0, {0}},
    {SYS_sigaltstack, "sigaltstack", -1, 0, {0}},
    {SYS_set_robust_list, "set_robust_list", -1, 0, {0}},
    {SYS_rseq, "rseq", -1, 0, {0}},
    {SYS_sched_yield, "sched_yield", -1, 0, {0}},
    {SYS_sched_getaffinity, "sched_getaffinity", -1, 0, {0}},
    {SYS_gettid, "gettid", -1, 0, {0}},
    {SYS_getpid, "getpid", -1, 0, {0}},
    {SYS_tgkill, "tgkill", -1, 0, {0}},
    {SYS_geteuid, "geteuid", -1, 0, {0}},
    {SYS_getegid, "getegid", -1, 0, {0}},
    {SYS_getgroups, "getgroups", -1, 0, {0}},
    {SYS_clock_gettime, "clock_gettime", -1, 0, {0}},
    {SYS_uname, "uname", -1, 0, {0}},
    /* By it the C library says why it ends the process. */
    {SYS_writev, "writev", -1, 0, {0}},
    {0, NULL, -1, 0, {0}},
};
/* clang-format on */

int kind_of(long number) {
    for (int kind = 0; KINDS[kind].name != NULL; kind++) {
        if (KINDS[kind].number == number) {
            return kind;
        }
    }
    return -1;
}

int ways_of(int kind) {
    int ways = 0;
    while (ways < MOST_ERRORS && KINDS[kind].errors[ways] != 0) {
        ways++;
    }
    return ways;
}
