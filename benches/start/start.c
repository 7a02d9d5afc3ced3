/*
 * The start of a job over many devices, and the document at its end.
 *
 *     start COUNT FOLDER URL TOKEN_FILE
 *
 * Calls mde_fetch_packages twice: for a new job, and to resume it. Each call is stopped at its first progress event, which
 * comes behind the first request. Prints for each the milliseconds until that event, and from the stop to the end of the
 * call, which writes the document of all devices. Prints the bytes of the document and the peak memory in MiB, too.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "mde.h"

static mde_cancel *cancel;
static double event_ms;

static void die(const char *what, const char *json)
{
    fprintf(stderr, "start: %s: %.2000s\n", what, json ? json : "");
    exit(1);
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int32_t stop(void *user_data, const char *event_json)
{
    (void)user_data;
    (void)event_json;
    if (event_ms == 0)
        event_ms = now_ms();
    mde_cancel_trigger(cancel);
    return 0;
}

/* An array of device ids. */
static char *devices(size_t count)
{
    char *json = malloc(count * 43 + 3), *end = json;
    size_t i;

    if (json == NULL)
        die("malloc", NULL);
    *end++ = '[';
    for (i = 0; i < count; i++)
        end += sprintf(end, "%s\"%040zx\"", i == 0 ? "" : ",", i);
    strcpy(end, "]");
    return json;
}

static char *read_line(const char *path)
{
    static char line[1 << 16];
    FILE *file = fopen(path, "r");

    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        die(path, NULL);
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void set(mde_options *options, const char *name, const char *value)
{
    char *json = NULL;

    if (mde_options_set(options, name, value, &json) != MDE_OK)
        die(name, json);
}

int main(int argc, char **argv)
{
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    struct rusage usage;
    char *json = NULL, *all;
    size_t length = 0;
    int round;

    if (argc != 5)
        die("usage: start COUNT FOLDER URL TOKEN_FILE", NULL);
    set(options, "api_url", argv[3]);
    set(options, "access_token", read_line(argv[4]));
    set(options, "proxy", "none");
    if (mde_client_new(options, &client, &json) != MDE_OK)
        die("mde_client_new", json);
    mde_options_free(options);
    all = devices(strtoul(argv[1], NULL, 10));
    for (round = 0; round < 2; round++) {
        double began = now_ms();
        mde_status status;

        event_ms = 0;
        cancel = mde_cancel_new(0);
        status = mde_fetch_packages(client, all, "bench", argv[2], stop, NULL, cancel, &json);
        if (status != MDE_ERR_CANCELLED || event_ms == 0)
            die("mde_fetch_packages", json);
        printf("%.0f %.0f ", event_ms - began, now_ms() - event_ms);
        length = strlen(json);
        mde_string_free(json);
        mde_cancel_free(cancel);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%zu %.1f\n", length, (double)usage.ru_maxrss / 1024);
    free(all);
    mde_client_free(client);
    return 0;
}
