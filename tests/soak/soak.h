/* What the parts of the soak share: see soak.c. */
#ifndef SOAK_H
#define SOAK_H

#include "service.h"

/*
 * Whose replies are counted: those of calls that are stopped, those of calls that run to their end, and those of checks of
 * the access, whose log has no line for each reply.
 */
enum group { STOPPED, STEADY, CHECKS, GROUPS };

enum operation {
    GET,
    LIST,
    FIND,
    COLLECT,
    CANCEL,
    WAIT,
    FETCH,
    FLEET,
    QUOTA,
    INSPECT,
    CHECK_ACCESS,
    FORKED,
    OPERATIONS
};

enum { DEVICES = 300, ID = 40, PATH = 512 };

/* A thread that repeats one step in a round: at once for the first `burst` times, then `rate` times a second. */
struct worker {
    void (*step)(struct worker *worker);
    enum group group;
    int burst;
    double rate;
    int number;
    mde_client *client;
    long made;
};

/* The whole run. */
struct soak {
    const char *folder;
    char devices[DEVICES][ID + 1];
    /* A client that is used from the beginning to the end, by calls that are never stopped. */
    mde_client *kept;
    int64_t round_began;
    int64_t round_ends;
    /* What this run does wrong on purpose: words of MDE_SOAK_LEAK. */
    const char *leak;
};

extern struct soak soak;

/* Whether this mistake is to be made. */
int leaks(const char *what);

/* A number that is never given out twice, not even in a forked child. */
long next_number(void);

/* tally.c: counts for the accounts, in memory that forked children share. */
void tally_begin(void);
/* The group of this thread. That of the library's own threads is STOPPED. */
void tally_group(enum group group);
void tally_log(void);
/* Counts the end of a call; the document is freed. */
void tally_call(enum operation operation, int32_t status, char *json);
/* How many devices a package was asked for. */
void tally_asked(int devices);
/* What no call may do; it is printed at the end. */
void tally_wrong(const char *what, const char *json);
void tally_print(void);

/* resources.c: prints what the process has at this moment, while nothing runs. */
void resources_print(const char *when);
/* Removes a folder with all that is in it. */
void remove_folder(const char *path);

/* steps.c and packages.c: what workers do. */
mde_client *soak_client(enum group group);
void step_get(struct worker *worker);
void step_list(struct worker *worker);
void step_find(struct worker *worker);
void step_cancel(struct worker *worker);
void step_collect(struct worker *worker);
void step_stalled(struct worker *worker);
void step_new_client(struct worker *worker);
void step_check_access(struct worker *worker);
void step_fork(struct worker *worker);
void step_fetch(struct worker *worker);
void step_fleet(struct worker *worker);
/* A cancel handle that ends with the round. */
mde_cancel *until_the_round_ends(void);

#endif
