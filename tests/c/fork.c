/* A client returns an error in a forked child; a new one works there. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service.h"

static const char NO_ACTION[] = "00000000-0000-4000-8000-000000000000";

/* Counted in the process that it happens in. */
static int freed;

static void count(void *user_data) {
    (void)user_data;
    freed++;
}

static void ignore_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    (void)level;
    (void)message;
}

static int32_t no_token(void *user_data, const char *token_scope, mde_token_sink *sink) {
    (void)user_data;
    (void)token_scope;
    (void)sink;
    return 1;
}

/* Of the user data that its parent handed over a child has a copy, which it leaves alone. */
static void callbacks_in_the_child(mde_client *with_provider) {
    mde_client_free(with_provider);
    CHECK(mde_log_set(ignore_line, NULL, count, MDE_LOG_DEBUG) == MDE_OK, "mde_log_set in the child");
    CHECK(freed == 0, "the child freed what its parent handed over");
    CHECK(mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF) == MDE_OK, "mde_log_set in the child");
    CHECK(freed == 1, "the child did not free its own");
}

/* Returns what the child's exit code will be. */
static int in_the_child(mde_client *parents, mde_client *with_provider) {
    char *json = NULL;
    int32_t status = mde_get_action(parents, NO_ACTION, NULL, &json);
    expect_error("mde_get_action in the child", status, json, MDE_ERR_FORKED, "make a new client");
    status = mde_collect_package(parents, machine(1), "why", NULL, &json);
    expect_error("mde_collect_package in the child", status, json, MDE_ERR_FORKED, "fork");
    status = mde_list_actions(parents, "", NULL, &json);
    expect_error("mde_list_actions in the child", status, json, MDE_ERR_FORKED, "fork");
    status = mde_get_quota(parents, &json);
    expect_error("mde_get_quota in the child", status, json, MDE_ERR_FORKED, "fork");
    status = mde_check_access(parents, NULL, &json);
    expect_error("mde_check_access in the child", status, json, MDE_ERR_FORKED, "fork");
    CHECK(mde_client_shutdown(parents, 1000) == MDE_ERR_FORKED, "mde_client_shutdown in the child");

    mde_client *own = client_from(service_options());
    status = mde_collect_package(own, machine(1), "from the child", NULL, &json);
    expect_ok("a new client in the child", status, json);
    /* Its limiter starts empty: the parent's calls are not in it. */
    status = mde_get_quota(own, &json);
    CHECK(value_is(json, "/quotas/0/used", "1"), "%s", json);
    expect_ok("mde_get_quota in the child", status, json);
    mde_client_free(own);
    mde_client_free(parents);
    callbacks_in_the_child(with_provider);
    return finish();
}

static void fork_and_check(mde_client *client, const char *when) {
    mde_options *options = mde_options_new();
    freed = 0;
    CHECK(mde_options_set_token_provider(options, no_token, NULL, count) == MDE_OK, "refused");
    mde_client *with_provider = client_from(options);
    CHECK(mde_log_set(ignore_line, NULL, count, MDE_LOG_DEBUG) == MDE_OK, "refused");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        /* A deadlock ends the child, and thereby the test. */
        alarm(60);
        int code = in_the_child(client, with_provider);
        fflush(stdout);
        _exit(code);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child, "%s: no child", when);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the child's status is %x", when,
          (unsigned)status);
    CHECK(freed == 0, "%s: freed in the parent, too", when);
    mde_client_free(with_provider);
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    CHECK(freed == 2, "%s: freed %d times", when, freed);
}

struct busy {
    const mde_client *client;
    const mde_cancel *cancel;
    int32_t status;
};

static void *stay_busy(void *argument) {
    struct busy *busy = argument;
    busy->status = mde_collect_package(busy->client, stalled_machine(), "why", busy->cancel, NULL);
    return NULL;
}

int main(void) {
    char *json = NULL;
    mde_client *client = client_from(service_options());
    int32_t status = mde_collect_package(client, machine(0), "before the fork", NULL, &json);
    expect_ok("before the fork", status, json);
    fork_and_check(client, "idle");

    /* With calls of other threads under way, whose locks and connections the child inherits. */
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct busy busy[THREADS];
    mde_cancel *cancel = mde_cancel_new(0);
    for (int i = 0; i < THREADS; i++) {
        busy[i].client = client;
        busy[i].cancel = cancel;
        busy[i].status = -1;
        CHECK(pthread_create(&threads[i], NULL, stay_busy, &busy[i]) == 0, "no thread");
    }
    sleep_ms(200);
    fork_and_check(client, "busy");
    mde_cancel_trigger(cancel);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(busy[i].status == MDE_ERR_CANCELLED, "%d", (int)busy[i].status);
    }
    mde_cancel_free(cancel);

    /* The parent's connections survived its children. */
    status = mde_get_action(client, NO_ACTION, NULL, &json);
    expect_error("the parent goes on", status, json, MDE_ERR_NOT_FOUND, "");
    mde_client_free(client);
    return finish();
}
