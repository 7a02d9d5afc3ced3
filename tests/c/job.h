/* A call that the service keeps waiting, as the arguments of the program describe it. */
#ifndef JOB_H
#define JOB_H

#include "service.h"

struct job {
    mde_client *client;
    const char *does;
    const char *path;
    char *action;
};

/*
 * Makes the client, and the action that the call needs: `does` is read, collect, wait or download, and the options
 * are NAME=VALUE.
 */
struct job job_new(const char *does, const char *path, char **options, int count);

/* The call. */
int32_t job_run(const struct job *job, const mde_cancel *cancel, char **json);

void job_free(struct job *job);

#endif
