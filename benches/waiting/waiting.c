/*
 * What devices cost that wait in a job: their collections run, and nothing else happens.
 *
 *     waiting COUNT URL FOLDER
 *
 * Prints the bytes that the C library has given out for one device, once all of them wait, and the threads of the process.
 * The simulator at URL must have COUNT devices, and collections that do not end.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mde.h"

/* The simulator's own: see simulator/README.md. */
#define TENANT "9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924"
#define APPLICATION "3a8f5d02-6b7c-4e19-9f48-c2d1708be563"
#define SECRET "sim8Q~not+a/real=secret&100%"

struct measured {
    long count;
    size_t before, heap;
    long threads;
};

static void die(const char *what, const char *json)
{
    fprintf(stderr, "waiting: %s: %.2000s\n", what, json ? json : "");
    exit(1);
}

static void set(mde_options *options, const char *name, const char *value)
{
    char *json = NULL;

    if (mde_options_set(options, name, value, &json) != MDE_OK)
        die(name, json);
    mde_string_free(json);
}

static long status_of(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long value = -1;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = atol(line + strlen(name));
    if (file != NULL)
        fclose(file);
    return value;
}

static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Stops the call when all collections run. */
static int32_t on_progress(void *user_data, const char *event)
{
    struct measured *measured = user_data;
    const char *running = strstr(event, "\"running\":");

    if (running == NULL || atol(running + 10) < measured->count)
        return 0;
    malloc_trim(0);
    measured->heap = heap();
    measured->threads = status_of("Threads:");
    return 1;
}

int main(int argc, char **argv)
{
    mde_options *options = mde_options_new();
    struct measured measured = {0, 0, 0, 0};
    mde_client *client = NULL;
    char *devices = NULL, *json = NULL;

    if (argc != 4)
        die("usage: waiting COUNT URL FOLDER", NULL);
    measured.count = atol(argv[1]);
    set(options, "tenant_id", TENANT);
    set(options, "client_id", APPLICATION);
    set(options, "client_secret", SECRET);
    set(options, "api_url", argv[2]);
    set(options, "login_url", argv[2]);
    set(options, "wait_timeout_ms", "0");
    set(options, "quota_limits", "collect=1000000/60;list=1000000/60;read=1000000/60;machines=1000000/60");
    if (mde_client_new(options, &client, &json) != MDE_OK)
        die("mde_client_new", json);
    mde_options_free(options);
    if (mde_find_machines(client, "filter:startswith(computerDnsName,'device-')", NULL, &devices) != MDE_OK)
        die("mde_find_machines", devices);
    measured.before = heap();
    if (mde_fetch_packages(client, devices, "bench", argv[3], on_progress, &measured, NULL, &json) !=
            MDE_ERR_CANCELLED ||
        measured.heap == 0)
        die("mde_fetch_packages", json);
    printf("%zu %ld\n", (measured.heap - measured.before) / (size_t)measured.count, measured.threads);
    mde_string_free(json);
    mde_string_free(devices);
    mde_client_free(client);
    return 0;
}
