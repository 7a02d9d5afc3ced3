/* The command line of all programs: MODE COUNT URL TOKEN-FILE [CA-FILE]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

int bench_read(struct job *job, int argc, char **argv)
{
    static char token[32768];
    FILE *file;

    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: %s get|collect|fresh COUNT URL TOKEN-FILE [CA-FILE]\n", argv[0]);
        return 1;
    }
    file = fopen(argv[4], "r");
    if (file == NULL || fgets(token, sizeof token, file) == NULL) {
        perror(argv[4]);
        return 1;
    }
    fclose(file);
    token[strcspn(token, "\n")] = '\0';
    job->mode = argv[1];
    job->count = strtol(argv[2], NULL, 10);
    job->url = argv[3];
    job->token = token;
    job->ca = argc == 6 ? argv[5] : NULL;
    return 0;
}
