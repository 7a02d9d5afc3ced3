/*
 * How late a call ends after a stop: overshoot [TRIALS].
 *
 * In every phase in which a call can wait, it is stopped at a random moment 20 to 60 ms after its start, by
 * mde_cancel_trigger() from another thread and, in other trials, by a deadline. The overshoot is the time from
 * that moment to the return of the call.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "mde.h"
#include "peer.h"

#define SECRET "client-secret-of-the-bench"
#define TENANT "9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924"
#define APPLICATION "3a8f5d02-6b7c-4e19-9f48-c2d1708be563"
#define MACHINE "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9"
#define ENOUGH "read=1000000/1;collect=1000000/1"

struct phase {
    const char *name;
    enum behaviour behaviour;
    const char *api;      /* the address, with %d for the peer's port */
    const char *proxy;    /* the same */
    const char *limits;
    int signs_in;         /* gets its token from the peer, while another thread is already doing so */
    int32_t at_deadline;  /* the status of a call whose deadline comes first */
};

static const struct phase phases[] = {
    {"connecting, the backlog is full", PEER_FULL, "http://127.0.0.1:%d", NULL, ENOUGH, 0, MDE_ERR_DEADLINE},
    {"TLS handshake", PEER_SILENT, "https://127.0.0.1:%d", NULL, ENOUGH, 0, MDE_ERR_DEADLINE},
    {"CONNECT to the proxy", PEER_SILENT, "https://192.0.2.1", "http://127.0.0.1:%d", ENOUGH, 0, MDE_ERR_DEADLINE},
    {"sending, the peer does not read", PEER_DEAF, "http://127.0.0.1:%d", NULL, ENOUGH, 0, MDE_ERR_DEADLINE},
    {"waiting for the reply", PEER_SILENT, "http://127.0.0.1:%d", NULL, ENOUGH, 0, MDE_ERR_DEADLINE},
    {"body, a byte per 100 ms", PEER_DRIP, "http://127.0.0.1:%d", NULL, ENOUGH, 0, MDE_ERR_DEADLINE},
    /* Here and before a retry, a wait that would outlast the deadline is not begun. */
    {"queue of the quota", PEER_ANSWER, "http://127.0.0.1:%d", NULL, "read=1/200", 0, MDE_ERR_RATE_LIMITED},
    {"pause before a retry", PEER_UNAVAILABLE, "http://127.0.0.1:%d", NULL, ENOUGH, 0, MDE_ERR_SERVICE},
    {"token requested by another thread", PEER_SILENT, "http://127.0.0.1:%d", NULL, ENOUGH, 1, MDE_ERR_DEADLINE},
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "overshoot: %s: %s\n", what, why ? why : "");
    exit(1);
}

static void set(mde_options *options, const char *name, const char *format, int port)
{
    char value[256], *json = NULL;
    snprintf(value, sizeof value, format, port);
    if (mde_options_set(options, name, value, &json) != MDE_OK)
        die(name, json);
    mde_string_free(json);
}

static mde_client *make_client(const struct phase *phase, int port)
{
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    char *json = NULL;

    set(options, "api_url", phase->api, port);
    set(options, "proxy", phase->proxy ? phase->proxy : "none", port);
    set(options, "quota_limits", phase->limits, 0);
    if (phase->signs_in) {
        set(options, "login_url", "http://127.0.0.1:%d", port);
        set(options, "tenant_id", TENANT, 0);
        set(options, "client_id", APPLICATION, 0);
        set(options, "client_secret", SECRET, 0);
    } else {
        set(options, "access_token", "token-%d", port);
        set(options, "tenant_id", TENANT, 0);
        /* Phases share no quota. */
        char id[64];
        snprintf(id, sizeof id, "3a8f5d02-6b7c-4e19-9f48-%012d", port);
        set(options, "client_id", id, 0);
    }
    if (mde_client_new(options, &client, &json) != MDE_OK)
        die("mde_client_new", json);
    mde_string_free(json);
    mde_options_free(options);
    return client;
}

static int32_t call(const mde_client *client, const struct phase *phase, const mde_cancel *cancel, char **json)
{
    /* Each byte of it becomes six in JSON. */
    static char comment[LARGE_REQUEST / 6 + 1];

    if (phase->behaviour != PEER_DEAF)
        return mde_get_action(client, ACTION_ID, cancel, json);
    memset(comment, 1, sizeof comment - 1);
    return mde_collect_package(client, MACHINE, comment, cancel, json);
}

static void *call_on(void *client)
{
    mde_get_action(client, ACTION_ID, NULL, NULL);
    return NULL;
}

struct trigger {
    const mde_cancel *cancel;
    double at, triggered;
};

static void sleep_until(double at)
{
    double left;
    while ((left = at - now_ms()) > 0) {
        struct timespec t = {0, 0};
        t.tv_nsec = (long)(left * 1e6 < 999e6 ? left * 1e6 : 999e6);
        nanosleep(&t, NULL);
    }
}

static void *pull(void *argument)
{
    struct trigger *trigger = argument;
    sleep_until(trigger->at);
    trigger->triggered = now_ms();
    mde_cancel_trigger(trigger->cancel);
    return NULL;
}

/* Whether the trial counts. On a machine that has other work, a deadline may pass before the call gets to where it would
 * end at once. */
static int one_trial(const mde_client *client, const struct phase *phase, int by_deadline, double *late)
{
    double after = 20 + 40 * ((double)rand() / RAND_MAX), start, end, due;
    uint64_t whole = (uint64_t)after;
    int32_t status, expected = by_deadline ? phase->at_deadline : MDE_ERR_CANCELLED;
    struct trigger trigger;
    mde_cancel *cancel;
    pthread_t thread;
    char *json = NULL;

    start = now_ms();
    cancel = mde_cancel_new(by_deadline ? whole : 0);
    due = start + (double)whole;
    if (!by_deadline) {
        trigger.cancel = cancel;
        trigger.at = start + after;
        if (pthread_create(&thread, NULL, pull, &trigger) != 0)
            die("pthread_create", NULL);
    }
    status = call(client, phase, cancel, &json);
    end = now_ms();
    if (!by_deadline) {
        pthread_join(thread, NULL);
        due = trigger.triggered;
    }
    if (status != expected && !(by_deadline && status == MDE_ERR_DEADLINE))
        die(phase->name, json);
    mde_string_free(json);
    mde_cancel_free(cancel);
    *late = end - due;
    return status == expected;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, int count, int percent)
{
    int at = (count * percent + 99) / 100 - 1;
    return sorted[at < 0 ? 0 : at];
}

static void run_phase(const struct phase *phase, int trials)
{
    mde_client *client = make_client(phase, peer_start(phase->behaviour));
    double *late = malloc(sizeof *late * (size_t)trials);
    pthread_t other;
    int by_deadline, i;

    if (late == NULL)
        die("malloc", NULL);
    if (phase->behaviour == PEER_ANSWER && mde_get_action(client, ACTION_ID, NULL, NULL) != MDE_OK)
        die(phase->name, "the call that fills the quota failed");
    if (phase->signs_in) {
        if (pthread_create(&other, NULL, call_on, client) != 0)
            die("pthread_create", NULL);
        sleep_until(now_ms() + 200);
    }
    for (by_deadline = 0; by_deadline < 2; by_deadline++) {
        int missed = 0;

        for (i = 0; i < trials;) {
            if (one_trial(client, phase, by_deadline, &late[i]))
                i++;
            else if (++missed > 100)
                die(phase->name, "the deadline always passes before");
        }
        qsort(late, (size_t)trials, sizeof *late, by_size);
        if (by_deadline && phase->at_deadline != MDE_ERR_DEADLINE)
            printf("| %s | deadline | at once, %.0f to %.0f ms before it | | |\n", phase->name, -late[trials - 1],
                   -late[0]);
        else
            printf("| %s | %s | %.1f | %.1f | %.1f |\n", phase->name, by_deadline ? "deadline" : "cancel",
                   percentile(late, trials, 50), percentile(late, trials, 99), late[trials - 1]);
        fflush(stdout);
    }
    free(late);
    if (mde_client_shutdown(client, 5000) != MDE_OK)
        die(phase->name, "shutdown failed");
    if (phase->signs_in)
        pthread_join(other, NULL);
    mde_client_free(client);
}

int main(int argc, char **argv)
{
    int trials = argc > 1 ? atoi(argv[1]) : 200;
    size_t i;

    if (trials < 1)
        die("usage", "overshoot [TRIALS]");
    srand(1);
    printf("Time from the stop to the return of the call, in ms; %d stops per row.\n\n", trials);
    printf("| phase | stopped by | median | 99th percentile | longest |\n|---|---|---|---|---|\n");
    for (i = 0; i < sizeof phases / sizeof phases[0]; i++)
        run_phase(&phases[i], trials);
    return 0;
}
