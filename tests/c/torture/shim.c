/* Stops the system calls of the process, counts them, and makes one fail. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

extern char raw_call_end[];

/* The one place whose system calls pass. The arguments of a C function become those of a system call. */
__asm__(".text\n"
        ".globl raw_call\n"
        ".type raw_call, @function\n"
        "raw_call:\n"
        "mov %rdi, %rax\n"
        "mov %rsi, %rdi\n"
        "mov %rdx, %rsi\n"
        "mov %rcx, %rdx\n"
        "mov %r8, %r10\n"
        "mov %r9, %r8\n"
        "mov 8(%rsp), %r9\n"
        "syscall\n"
        ".globl raw_call_end\n"
        "raw_call_end:\n"
        "ret\n"
        ".size raw_call, . - raw_call\n");

static struct seen *seen;
static struct fault fault;
static int armed;
/* Index of each system call in KINDS, and how many ways it has. */
static signed char kinds[1024];
static signed char ways[128];
/* An interruption comes again so many times at most, or loops that repeat the call would not end. */
enum { STORM = 40 };
static int storm;

/* The clock that measures waits, at its first reading. */
static struct timespec base;

static int64_t nanoseconds(const struct timespec *time) {
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static struct timespec timespec_of(int64_t time) {
    struct timespec result;
    result.tv_sec = (time_t)(time / 1000000000);
    result.tv_nsec = (long)(time % 1000000000);
    return result;
}

/* In place of the C library's: the monotonic clock runs faster, so that pauses and deadlines are short. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = raw_call(SYS_clock_gettime, clock, (long)time, 0, 0, 0, 0);
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    if (clock == CLOCK_MONOTONIC && nanoseconds(&base) != 0) {
        *time = timespec_of(nanoseconds(&base) + (nanoseconds(time) - nanoseconds(&base)) * FASTER);
    }
    return 0;
}

/* A time to wait, shortened as the clock is fast. */
static struct timespec shorter(const struct timespec *time, int is_absolute) {
    int64_t since = is_absolute ? nanoseconds(&base) : 0;
    int64_t wait = nanoseconds(time) - since;
    return timespec_of(since + (wait > 0 ? wait / FASTER + 1 : wait));
}

static void note_path(const struct kind *kind, const long *arguments) {
    char link[64];
    if (kind->path >= 0 && arguments[kind->path] != 0 && *(const char *)arguments[kind->path] != '\0') {
        strncpy(seen->path, (const char *)arguments[kind->path], sizeof seen->path - 1);
    } else if (kind->has_descriptor) {
        /* No printf in a signal handler. */
        char digits[16];
        int count = 0;
        long number = arguments[0];
        do {
            digits[count++] = (char)('0' + number % 10);
            number /= 10;
        } while (number > 0 && count < 15);
        strcpy(link, "/proc/self/fd/");
        size_t length = strlen(link);
        while (count > 0) {
            link[length++] = digits[--count];
        }
        link[length] = '\0';
        long got = raw_call(SYS_readlinkat, AT_FDCWD, (long)link, (long)seen->path, sizeof seen->path - 1, 0, 0);
        seen->path[got > 0 ? got : 0] = '\0';
    }
}

/* Whether this call can fail in this way with these arguments. */
static int is_possible(long number, int error, const long *a) {
    if (number == SYS_openat && error == ENOSPC) {
        return (a[2] & O_CREAT) != 0;
    }
    if (number == SYS_getrandom && error == EAGAIN) {
        return (a[2] & GRND_NONBLOCK) != 0;
    }
    if (error == SHORT) {
        return a[2] > 1;
    }
    return 1;
}

/* Carries out a call, and returns half of what it asks for if it is to be short. */
static long perform(long number, const long *a) {
    struct timespec time;
    int command = (int)a[1] & FUTEX_CMD_MASK;
    if (number == SYS_futex && a[3] != 0 && (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET)) {
        int is_absolute = command == FUTEX_WAIT_BITSET;
        /* The time of day is not faster. */
        if ((a[1] & FUTEX_CLOCK_REALTIME) == 0) {
            time = shorter((const struct timespec *)a[3], is_absolute);
            return raw_call(number, a[0], a[1], a[2], (long)&time, a[4], a[5]);
        }
    }
    if (number == SYS_ppoll && a[2] != 0) {
        time = shorter((const struct timespec *)a[2], 0);
        return raw_call(number, a[0], a[1], (long)&time, a[3], a[4], a[5]);
    }
    if (number == SYS_poll && a[2] > 0) {
        return raw_call(number, a[0], a[1], (a[2] + FASTER - 1) / FASTER, 0, 0, 0);
    }
    if (number == SYS_clock_nanosleep && a[0] == CLOCK_MONOTONIC) {
        time = shorter((const struct timespec *)a[2], (a[1] & TIMER_ABSTIME) != 0);
        return raw_call(number, a[0], a[1], (long)&time, 0, 0, 0);
    }
    if (number == SYS_nanosleep || number == SYS_clock_nanosleep) {
        int at = number == SYS_nanosleep ? 0 : 2;
        long b[6];
        memcpy(b, a, sizeof b);
        time = shorter((const struct timespec *)a[at], 0);
        b[at] = (long)&time;
        b[at + 1] = 0;
        return raw_call(number, b[0], b[1], b[2], b[3], 0, 0);
    }
    return raw_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long fail(long number, int error, const long *a) {
    if (error == SHORT) {
        return raw_call(number, a[0], a[1], a[2] / 2, a[3], a[4], a[5]);
    }
    if (error == LOST) {
        perform(number, a);
        return -EIO;
    }
    if (number == SYS_close) {
        /* Linux closes the descriptor in any case. */
        perform(number, a);
    }
    if (error == EINTR && (number == SYS_nanosleep || number == SYS_clock_nanosleep)) {
        int at = number == SYS_nanosleep ? 0 : 2;
        if (a[at + 1] != 0) {
            *(struct timespec *)a[at + 1] = *(const struct timespec *)a[at];
        }
    }
    return -error;
}

/* Whether the call is one that can fail in a way that matters. */
static int counts(long number, const long *a) {
    int command = (int)a[1] & FUTEX_CMD_MASK;
    switch (number) {
    case SYS_futex:
        return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
    case SYS_fcntl:
        return a[1] == F_DUPFD_CLOEXEC;
    default:
        return 1;
    }
}

static long call(long number, const long *a) {
    int kind = number >= 0 && number < (long)sizeof kinds ? kinds[number] : -1;
    if (!__atomic_load_n(&armed, __ATOMIC_ACQUIRE)) {
        return perform(number, a);
    }
    if (kind < 0) {
        seen->unknown = number;
        return perform(number, a);
    }
    if (ways[kind] == 0 || !counts(number, a)) {
        return perform(number, a);
    }
    long at = __atomic_add_fetch(&seen->calls, 1, __ATOMIC_SEQ_CST);
    if (at <= MOST_CALLS) {
        seen->trace[at - 1] = (unsigned char)kind;
    }
    if (fault.call == 0 || at < fault.call) {
        return perform(number, a);
    }
    int error = 0;
    if (at == fault.call) {
        error = KINDS[kind].errors[fault.error % ways[kind]];
        if (!is_possible(number, error, a)) {
            error = KINDS[kind].errors[0];
        }
        seen->error = error;
        note_path(&KINDS[kind], a);
        __atomic_store_n(&seen->failed, kind + 1, __ATOMIC_RELEASE);
    } else if (fault.stays && __atomic_load_n(&seen->failed, __ATOMIC_ACQUIRE) != 0) {
        for (int way = 0; way < ways[kind]; way++) {
            if (KINDS[kind].errors[way] == seen->error && is_possible(number, seen->error, a)) {
                error = seen->error;
            }
        }
        int repeats = error == EINTR || error == EAGAIN || error == SHORT;
        if (repeats && __atomic_add_fetch(&storm, 1, __ATOMIC_RELAXED) > STORM) {
            error = 0;
        }
    }
    return error == 0 ? perform(number, a) : fail(number, error, a);
}

/* Where the C library starts a thread: it may say that there can be none. */
int shim_refuses_thread(void) {
    if (!__atomic_load_n(&armed, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    /* The number of a call that is carried out elsewhere: nothing is done here unless it fails. */
    int kind = kinds[SYS_clone3];
    long at = __atomic_add_fetch(&seen->calls, 1, __ATOMIC_SEQ_CST);
    if (at <= MOST_CALLS) {
        seen->trace[at - 1] = (unsigned char)kind;
    }
    if (fault.call != 0 && at == fault.call) {
        seen->error = EAGAIN;
        __atomic_store_n(&seen->failed, kind + 1, __ATOMIC_RELEASE);
        return 1;
    }
    int has_failed = (int)__atomic_load_n(&seen->failed, __ATOMIC_ACQUIRE);
    return fault.call != 0 && fault.stays && at > fault.call && has_failed == kind + 1;
}

/* Whether the allocation fails. */
int shim_refuses_memory(void) {
    if (!__atomic_load_n(&armed, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    long at = __atomic_add_fetch(&seen->allocations, 1, __ATOMIC_SEQ_CST);
    if (fault.allocation == 0 || at < fault.allocation) {
        return 0;
    }
    return at == fault.allocation || fault.stays;
}

/* The mask that counts is that to which the thread returns. This signal is never blocked. */
static long change_mask(ucontext_t *context, const long *a) {
    uint64_t *mask = (uint64_t *)(void *)&context->uc_sigmask;
    uint64_t before = *mask;
    if (a[1] != 0) {
        uint64_t given = *(const uint64_t *)a[1];
        switch (a[0]) {
        case SIG_BLOCK:
            *mask |= given;
            break;
        case SIG_UNBLOCK:
            *mask &= ~given;
            break;
        default:
            *mask = given;
        }
        *mask &= ~((uint64_t)1 << (SIGSYS - 1));
    }
    if (a[2] != 0) {
        *(uint64_t *)a[2] = before;
    }
    return 0;
}

static void on_call(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    greg_t *registers = context->uc_mcontext.gregs;
    long number = (long)registers[REG_RAX];
    long arguments[6] = {(long)registers[REG_RDI], (long)registers[REG_RSI], (long)registers[REG_RDX],
                         (long)registers[REG_R10], (long)registers[REG_R8],  (long)registers[REG_R9]};
    (void)signal;
    (void)info;
    if (number == SYS_rt_sigprocmask) {
        registers[REG_RAX] = change_mask(context, arguments);
    } else {
        registers[REG_RAX] = call(number, arguments);
    }
}

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define POINTER offsetof(struct seccomp_data, instruction_pointer)

void shim_install(struct seen *where) {
    seen = where;
    memset(kinds, -1, sizeof kinds);
    for (int kind = 0; KINDS[kind].name != NULL; kind++) {
        kinds[KINDS[kind].number] = (signed char)kind;
        ways[kind] = (signed char)ways_of(kind);
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    base = now;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_call;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSYS, &action, NULL);
    uint64_t end = (uint64_t)(uintptr_t)raw_call_end;
    struct sock_filter filter[] = {
        LOAD(POINTER),
        IF(end, 0, 3),
        LOAD(POINTER + 4),
        IF(end >> 32, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        LOAD(offsetof(struct seccomp_data, nr)),
        /* Those that change the stack, or do not return, cannot be made by a handler. */
        IF(SYS_rt_sigreturn, 5, 0),
        IF(SYS_clone, 4, 0),
        IF(SYS_clone3, 3, 0),
        IF(SYS_exit, 2, 0),
        IF(SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        fprintf(stderr, "no filter for system calls here: %s\n", strerror(errno));
        exit(3);
    }
}

void shim_arm(const struct fault *what) {
    fault = *what;
    storm = 0;
    __atomic_store_n(&armed, 1, __ATOMIC_RELEASE);
}

void shim_disarm(void) {
    __atomic_store_n(&armed, 0, __ATOMIC_RELEASE);
}
