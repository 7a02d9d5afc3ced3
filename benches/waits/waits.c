/*
 * Many threads wait for as many collections, in one of two ways, and measure how late they notice the end.
 *
 *     waits wait|poll MILLISECONDS COUNT URL
 *
 * wait: each thread calls mde_wait_action with that poll_interval_ms. poll: each reads its own action repeatedly with
 * that pause. Prints the milliseconds from an action's end to its notice (median, 99th percentile and largest) and the
 * milliseconds of CPU. The simulator at URL must have COUNT devices.
 */
#define _GNU_SOURCE
#include <pthread.h>
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

static mde_client *client;
static int polling;
static long pause_ms;

struct follower {
    pthread_t thread;
    char *action_id;
    double late_ms;
};

static void die(const char *what, const char *json)
{
    fprintf(stderr, "waits: %s: %s\n", what, json ? json : "");
    exit(1);
}

static char *get(const char *json, const char *pointer)
{
    char *value = NULL;

    if (mde_json_get(json, pointer, &value) != MDE_OK || value == NULL)
        die(pointer, json);
    return value;
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* "2026-01-24T22:17:02.3601426Z" in milliseconds since 1970. */
static double parse_ms(const char *text)
{
    struct tm date;
    const char *rest;

    memset(&date, 0, sizeof date);
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
    if (rest == NULL)
        die("no time", text);
    return (double)timegm(&date) * 1e3 + (*rest == '.' ? strtod(rest, NULL) * 1e3 : 0);
}

static char *ended_action(const char *action_id)
{
    char *json = NULL;

    if (!polling) {
        if (mde_wait_action(client, action_id, NULL, NULL, NULL, &json) != MDE_OK)
            die("mde_wait_action", json);
        return json;
    }
    for (;;) {
        struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};
        char *status;
        int ended;

        if (mde_get_action(client, action_id, NULL, &json) != MDE_OK)
            die("mde_get_action", json);
        status = get(json, "/action/status");
        ended = strcmp(status, "Succeeded") == 0;
        mde_string_free(status);
        if (ended)
            return json;
        mde_string_free(json);
        json = NULL;
        nanosleep(&pause, NULL);
    }
}

static void *follow(void *argument)
{
    struct follower *follower = argument;
    char *json = ended_action(follower->action_id), *end;

    follower->late_ms = now_ms();
    end = get(json, "/action/lastUpdateDateTimeUtc");
    follower->late_ms -= parse_ms(end);
    mde_string_free(end);
    mde_string_free(json);
    return NULL;
}

static void set(mde_options *options, const char *name, const char *value)
{
    char *json = NULL;

    if (mde_options_set(options, name, value, &json) != MDE_OK)
        die(name, json);
    mde_string_free(json);
}

static int by_lateness(const void *a, const void *b)
{
    double x = ((const struct follower *)a)->late_ms, y = ((const struct follower *)b)->late_ms;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    mde_options *options = mde_options_new();
    struct follower *followers;
    pthread_attr_t small;
    struct rusage usage;
    char *json = NULL;
    size_t count, i;

    if (argc != 5)
        die("usage: waits wait|poll MILLISECONDS COUNT URL", NULL);
    polling = strcmp(argv[1], "poll") == 0;
    pause_ms = strtol(argv[2], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    set(options, "tenant_id", TENANT);
    set(options, "client_id", APPLICATION);
    set(options, "client_secret", SECRET);
    set(options, "api_url", argv[4]);
    set(options, "login_url", argv[4]);
    set(options, "poll_interval_ms", argv[2]);
    /* The bench counts requests, so the quota must not delay them. */
    set(options, "quota_limits", "read=1000000/60;list=1000000/60;collect=1000000/60");
    if (mde_client_new(options, &client, &json) != MDE_OK)
        die("mde_client_new", json);
    mde_string_free(json);
    mde_options_free(options);

    followers = calloc(count, sizeof *followers);
    if (followers == NULL || mde_find_machines(client, "device-", NULL, &json) != MDE_OK)
        die("mde_find_machines", json);
    for (i = 0; i < count; i++) {
        char pointer[64], *machine, *started = NULL;

        snprintf(pointer, sizeof pointer, "/machines/%zu/id", i);
        machine = get(json, pointer);
        if (mde_collect_package(client, machine, "bench", NULL, &started) != MDE_OK)
            die("mde_collect_package", started);
        followers[i].action_id = get(started, "/action/id");
        mde_string_free(started);
        mde_string_free(machine);
    }
    mde_string_free(json);

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    for (i = 0; i < count; i++)
        if (pthread_create(&followers[i].thread, &small, follow, &followers[i]) != 0)
            die("pthread_create", NULL);
    for (i = 0; i < count; i++)
        pthread_join(followers[i].thread, NULL);
    qsort(followers, count, sizeof *followers, by_lateness);
    getrusage(RUSAGE_SELF, &usage);
    printf("%.0f %.0f %.0f %.0f\n", followers[count / 2].late_ms, followers[count * 99 / 100].late_ms,
           followers[count - 1].late_ms,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3);
    for (i = 0; i < count; i++)
        mde_string_free(followers[i].action_id);
    free(followers);
    mde_client_free(client);
    return 0;
}
