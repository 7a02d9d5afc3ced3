/* The operations that are tortured, and what has to hold after each. */
#ifndef TORTURE_OPERATIONS_H
#define TORTURE_OPERATIONS_H

#include <stdint.h>

/* One run: where its files are, and its devices. */
struct run {
    char name[32];
    char folder[200];
    char machines[2][41];
    int retries;
};

struct operation {
    const char *name;
    /* Calls the library. It uses no memory of its own. */
    int32_t (*call)(const struct run *run, char **json);
    /* What comes before, if anything does. It may give out the id of an action. */
    int32_t (*before)(const struct run *run, char **json);
    /* The files that are there at the end, separated by blanks; *.zip stands for a package. */
    const char *files;
    int packages;
};

/* The operation of this name, or NULL. */
const struct operation *operation_of(const char *name);

/* The action that the run works on, as `before` has left it. It lies in memory that outlives the process. */
void operation_uses(char *action);

/* Makes calls that pause, and that read and list actions. What a process keeps once it has done so is there afterwards. */
void touch_everything(const struct run *run);

/* How many calls for collections the quota file of the run has, or -1. */
long quota_used(const struct run *run);

/* Whether the library has logged that the quota file is not in use. */
int quota_warned(void);

/* How much of the package at p.zip is on disk: as many bytes as possible if it is whole. */
long bytes_there(const struct run *run);

/* Puts what is wrong with the files of the run behind what `problem` holds. `is_end`: the call has succeeded. */
void check_files(const struct run *run, const struct operation *operation, int is_end, char *problem, size_t size);

/* Removes the files of the run. */
void remove_files(const struct run *run);

/* The same for the document of a call. */
void check_document(const char *what, int32_t status, const char *json, char *problem, size_t size);

/* Puts a text behind what `problem` holds. */
void add_problem(char *problem, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
