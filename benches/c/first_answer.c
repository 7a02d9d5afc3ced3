/* Loads one of the programs as a library and prints the microseconds until its first answer. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    struct job job;
    int (*run)(const struct job *);
    double start;
    void *library, *symbol;

    if (argc < 2 || bench_read(&job, argc - 1, argv + 1))
        return fprintf(stderr, "usage: first_answer LIBRARY get 1 URL TOKEN-FILE [CA-FILE]\n"), 1;
    start = now();
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    symbol = library == NULL ? NULL : dlsym(library, "bench_run");
    if (symbol == NULL)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    memcpy(&run, &symbol, sizeof run);
    if (run(&job))
        return 1;
    printf("%.0f\n", now() - start);
    return 0;
}
