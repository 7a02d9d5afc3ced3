/* A program that does one job. With BENCH_PEAK in the environment it prints its peak memory in KiB. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static int print_peak(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long peak = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %ld", &peak) == 1)
            break;
    if (file != NULL)
        fclose(file);
    printf("%ld\n", peak);
    return peak == 0;
}

int main(int argc, char **argv)
{
    struct job job;
    if (bench_read(&job, argc, argv) || bench_run(&job))
        return 1;
    return getenv("BENCH_PEAK") != NULL && print_peak();
}
