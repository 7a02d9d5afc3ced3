/* One job, done by different programs: read or start a machine action `count` times. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>

struct job {
    const char *mode;   /* get, collect, or fresh: get with a new client for each call */
    long count;
    const char *url;    /* http://127.0.0.1:port or https://127.0.0.1:port */
    const char *ca;     /* PEM file, or NULL; unused for http */
    const char *token;
};

#define ACTION_ID "5382f7ea-7557-4ab7-9782-d50480024a4e"
#define MACHINE_ID "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9"
#define COMMENT "case 4711"
#define USER_AGENT "mde/0.1.0"
#define ACCEPT "application/json"
#define MAX_REPLY (1u << 20)

/* Returns 0, or 1 after a message on stderr. Each program has its own. */
int bench_run(const struct job *job);

/* Fills a job from a file with the token and four or five arguments; returns 0, or 1 after a message. */
int bench_read(struct job *job, int argc, char **argv);

#endif
