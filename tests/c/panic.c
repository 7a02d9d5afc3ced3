/*
 * A panic in a call does not leave the call. Runs with a library built with the feature test-hooks, in which a
 * special comment makes a collection panic.
 */
#include <pthread.h>

#include "service.h"

enum { THREADS = 8, PANICS = 20 };

static const char PANIC[] = "mde-test-hook-panic";
/* The text of the panic: it could hold anything, so it may go nowhere. */
static const char CANARY[] = "canary-in-panic-text";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int canaries;
static int contained;

static void look_at_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    pthread_mutex_lock(&lock);
    canaries += strstr(message, CANARY) != NULL;
    contained += level == MDE_LOG_ERROR && strstr(message, "contained a panic at ") != NULL;
    pthread_mutex_unlock(&lock);
}

/* What one thread did, judged by the main thread. */
struct panics {
    const mde_client *client;
    const char *machine;
    int count;
    int as_expected;
    int32_t last_status;
    char *last_json;
};

static void *provoke(void *argument) {
    struct panics *panics = argument;
    for (int i = 0; i < panics->count; i++) {
        char *json = NULL;
        int32_t status = mde_collect_package(panics->client, panics->machine, PANIC, NULL, &json);
        panics->as_expected += status == MDE_ERR_INTERNAL && value_is(json, "/error/name", "internal") &&
                               strstr(json, CANARY) == NULL;
        mde_string_free(panics->last_json);
        panics->last_status = status;
        panics->last_json = json;
    }
    return NULL;
}

static void next_call_works(const mde_client *client, int n) {
    char *json = NULL;
    int32_t status = mde_collect_package(client, machine(n), "no panic", NULL, &json);
    CHECK(value_is(json, "/adopted", "false"), "%s", json);
    expect_ok("the call after a panic", status, json);
}

int main(void) {
    mde_options *options = service_options();
    /* No panic may spend so much that a later call would wait for room. */
    set(options, "quota", "fail");
    mde_client *client = client_from(options);
    char *json = NULL;
    mde_log_set(look_at_line, NULL, NULL, MDE_LOG_DEBUG);

    int32_t status = mde_collect_package(client, machine(0), PANIC, NULL, &json);
    CHECK(json != NULL && strstr(json, CANARY) == NULL, "the panic's text is in %s", json);
    /* It happened while a request was on its way out. */
    CHECK(value_is(json, "/error/outcome", "unknown"), "%s", json);
    expect_error("a panic", status, json, MDE_ERR_INTERNAL, "contained");
    next_call_works(client, 1);

    pthread_t threads[THREADS];
    struct panics panics[THREADS];
    int expected = 0;
    memset(panics, 0, sizeof panics);
    for (int i = 0; i < THREADS; i++) {
        panics[i].client = client;
        panics[i].machine = machine(0);
        /* 20 in all, spread over the threads. */
        panics[i].count = PANICS / THREADS + (i < PANICS % THREADS);
        expected += panics[i].count;
        CHECK(pthread_create(&threads[i], NULL, provoke, &panics[i]) == 0, "no thread");
    }
    int as_expected = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        as_expected += panics[i].as_expected;
        CHECK(panics[i].as_expected == panics[i].count, "thread %d: last %d %s", i,
              (int)panics[i].last_status, panics[i].last_json);
        mde_string_free(panics[i].last_json);
    }
    CHECK(expected == PANICS && as_expected == PANICS, "%d of %d", as_expected, PANICS);
    next_call_works(client, 2);

    status = mde_get_quota(client, &json);
    for (int i = 0; i < 4; i++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/quotas/%d/in_flight", i);
        CHECK(value_is(json, pointer, "0"), "%s: %s", pointer, json);
    }
    expect_ok("mde_get_quota", status, json);

    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    CHECK(canaries == 0, "%d log lines hold the panic's text", canaries);
    CHECK(contained == PANICS + 1, "%d log lines about contained panics", contained);
    CHECK(mde_client_shutdown(client, 0) == MDE_OK, "a call is still counted as running");
    mde_client_free(client);
    return finish();
}
