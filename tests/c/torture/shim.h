/*
 * Counts the system calls and allocations of an operation, and makes one of them fail.
 *
 * The library makes some of its system calls without the C library, so nothing is preloaded. A filter (seccomp) stops each
 * call of the process, and a signal handler on the same thread carries it out or not. For Linux on x86-64.
 */
#ifndef TORTURE_SHIM_H
#define TORTURE_SHIM_H

#include <stddef.h>

/* What becomes of a call in place of an error number. */
enum {
    /* Half of the bytes are transferred. */
    SHORT = 1000,
    /* It is carried out, and its result is lost: EIO, as network file systems have it. */
    LOST = 1001
};

enum { MOST_ERRORS = 8, MOST_CALLS = 40000 };

/* A system call, and the ways in which it fails. */
struct kind {
    long number;
    const char *name;
    /* Which argument is a path, or else -1. The first argument is a descriptor if that is set. */
    int path;
    int has_descriptor;
    /* Ends with 0. Calls without any are not counted. */
    int errors[MOST_ERRORS];
};

/* What is to fail. Numbers begin with 1, and 0 is none. */
struct fault {
    long call;
    long allocation;
    /* Which of the call's errors. */
    int error;
    /* From then on everything fails that can fail in this way. */
    int stays;
};

/* What has happened while the shim was armed. It lies in memory that outlives the process. */
struct seen {
    long calls;
    long allocations;
    /* The first call that failed: its kind, the error, and the path. */
    long failed;
    int error;
    char path[200];
    /* A system call that the table does not have. */
    long unknown;
    /* The kinds of the calls, in order. */
    unsigned char trace[MOST_CALLS];
};

extern const struct kind KINDS[];

/* The index of a system call in KINDS, or -1. */
int kind_of(long number);

/* How many ways there are in which this kind fails. */
int ways_of(int kind);

/* Begins to stop the system calls of this process. It does not end. */
void shim_install(struct seen *seen);

/* From now on calls are counted, and this one fails. */
void shim_arm(const struct fault *fault);

/* No call fails any more. */
void shim_disarm(void);

/* Blocks of memory that are allocated now. */
long memory_live(void);

/* A system call that the shim does not see. Returns a negative error number. */
long raw_call(long number, long a, long b, long c, long d, long e, long f);

/* How many times as fast the clock runs that measures waits. */
enum { FASTER = 100 };

#endif
