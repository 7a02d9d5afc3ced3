/*
 * One call over all devices of a simulator, at the documented quota and so many times as fast.
 *
 *     fleet SPEED URL FOLDER [PROGRESS]
 *
 * Prints the seconds that mde_fetch_packages() took, and its milliseconds of CPU. The simulator at URL must run at this
 * SPEED, too. The file PROGRESS gets a line for each number of packages: the minutes of the service, and the number.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "mde.h"

/* The simulator's own: see simulator/README.md. */
#define TENANT "9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924"
#define APPLICATION "3a8f5d02-6b7c-4e19-9f48-c2d1708be563"
#define SECRET "sim8Q~not+a/real=secret&100%"

static void die(const char *what, const char *json)
{
    fprintf(stderr, "fleet: %s: %s\n", what, json ? json : "");
    exit(1);
}

static void set(mde_options *options, const char *name, const char *value)
{
    char *json = NULL;

    if (mde_options_set(options, name, value, &json) != MDE_OK)
        die(name, json);
    mde_string_free(json);
}

static double wall_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* How many packages are done. */
static long count_of(const char *json)
{
    char *done = NULL;
    long count;

    if (mde_json_get(json, "/summary/done", &done) != MDE_OK)
        die("no summary", json);
    count = atol(done);
    mde_string_free(done);
    return count;
}

/* Where the progress goes, and how far it is. */
struct progress {
    FILE *file;
    double began, minute;
    long done;
};

static int32_t on_progress(void *user_data, const char *event)
{
    struct progress *progress = user_data;
    const char *done = strstr(event, "\"done\":");

    if (done != NULL && strncmp(event, "{\"stage\":\"fleet\"", 16) == 0 && atol(done + 7) != progress->done) {
        progress->done = atol(done + 7);
        fprintf(progress->file, "%.2f %ld\n", (wall_s() - progress->began) / progress->minute, progress->done);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const endpoints[] = {"collect", "read", "list"};
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    char *devices = NULL, *json = NULL, text[256];
    struct progress progress = {NULL, 0, 0, 0};
    double minute, began, used;
    size_t i, length;

    if (argc != 4 && argc != 5)
        die("usage: fleet SPEED URL FOLDER [PROGRESS]", NULL);
    if (argc == 5 && (progress.file = fopen(argv[4], "w")) == NULL)
        die(argv[4], NULL);
    minute = 60 / strtod(argv[1], NULL);
    set(options, "tenant_id", TENANT);
    set(options, "client_id", APPLICATION);
    set(options, "client_secret", SECRET);
    set(options, "api_url", argv[2]);
    set(options, "login_url", argv[2]);
    set(options, "wait_timeout_ms", "0");
    snprintf(text, sizeof text, "%.0f", minute * 1e3 / 4);
    set(options, "poll_interval_ms", text);
    length = (size_t)snprintf(text, sizeof text, "link=2/%g,120/%g", minute, 60 * minute);
    for (i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, ";%s=100/%g,1500/%g", endpoints[i], minute,
                                   60 * minute);
    set(options, "quota_limits", text);
    if (mde_client_new(options, &client, &json) != MDE_OK)
        die("mde_client_new", json);
    mde_options_free(options);

    if (mde_find_machines(client, "filter:startswith(computerDnsName,'device-')", NULL, &devices) != MDE_OK)
        die("mde_find_machines", devices);
    began = wall_s();
    used = cpu_ms();
    progress.began = began;
    progress.minute = minute;
    if (mde_fetch_packages(client, devices, "bench", argv[3], progress.file != NULL ? on_progress : NULL, &progress,
                           NULL, &json) != MDE_OK)
        die("mde_fetch_packages", json);
    printf("%.2f %.0f\n", wall_s() - began, cpu_ms() - used);
    if (progress.file != NULL) {
        /* The last ones have no event of their own. */
        if (progress.done < count_of(json))
            fprintf(progress.file, "%.2f %ld\n", (wall_s() - began) / minute, count_of(json));
        fclose(progress.file);
    }
    mde_string_free(json);
    mde_string_free(devices);
    mde_client_free(client);
    return 0;
}
