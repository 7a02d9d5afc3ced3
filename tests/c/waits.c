/*
 * A call that the service keeps waiting ends soon after it is cancelled, and at its deadline.
 *
 *     waits read|collect|wait|download NAME-OF-THE-STATUS-AT-THE-DEADLINE PATH [OPTION=VALUE...]
 */
#include <pthread.h>

#include "service.h"

static const char NO_ACTION[] = "00000000-0000-4000-8000-000000000000";

/* How long a call runs before it is stopped, and at most afterwards: far less than any timeout of the library. */
enum { BEFORE_MS = 400, AFTER_MS = 2000 };

static void *trigger_soon(void *argument) {
    sleep_ms(BEFORE_MS);
    mde_cancel_trigger(argument);
    return NULL;
}

struct job {
    mde_client *client;
    const char *does;
    const char *path;
    char *action;
};

static int32_t do_it(const struct job *job, const mde_cancel *cancel, char **json) {
    if (strcmp(job->does, "collect") == 0) {
        return mde_collect_package(job->client, machine(1), "why", cancel, json);
    }
    if (strcmp(job->does, "wait") == 0) {
        return mde_wait_action(job->client, job->action, NULL, NULL, cancel, json);
    }
    if (strcmp(job->does, "download") == 0) {
        return mde_download_package(job->client, job->action, job->path, NULL, NULL, cancel, json);
    }
    return mde_get_action(job->client, NO_ACTION, cancel, json);
}

static void stop_it(const struct job *job, mde_cancel *cancel, const char *expected, int64_t least) {
    char *json = NULL;
    int64_t start = now_ms();
    int32_t status = do_it(job, cancel, &json);
    int64_t took = now_ms() - start;
    CHECK(strcmp(mde_status_name(status), expected) == 0, "%s", json);
    CHECK(took >= least && took < BEFORE_MS + AFTER_MS, "%s: it took %d ms", expected, (int)took);
    printf("%s after %d ms\n", expected, (int)took);
    mde_string_free(json);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        return 2;
    }
    mde_options *options = service_options();
    /* The host's own patience is longer than the test's. */
    set(options, "connect_timeout_ms", "30000");
    for (int i = 4; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        *value = '\0';
        set(options, argv[i], value + 1);
    }
    struct job job = {client_from(options), argv[1], argv[3], NULL};
    int is_quota = strcmp(job.does, "collect") == 0;
    if (is_quota || strcmp(job.does, "wait") == 0 || strcmp(job.does, "download") == 0) {
        char *json = NULL;
        int32_t status = mde_collect_package(job.client, machine(0), "why", NULL, &json);
        job.action = value_at(json, "/action/id");
        expect_ok("mde_collect_package", status, json);
    }
    if (strcmp(job.does, "download") == 0) {
        char *json = NULL;
        int32_t status = mde_wait_action(job.client, job.action, NULL, NULL, NULL, &json);
        expect_ok("mde_wait_action", status, json);
    }

    pthread_t thread;
    mde_cancel *cancel = mde_cancel_new(0);
    CHECK(pthread_create(&thread, NULL, trigger_soon, cancel) == 0, "no thread");
    stop_it(&job, cancel, "cancelled", BEFORE_MS - 50);
    pthread_join(thread, NULL);
    mde_cancel_free(cancel);

    cancel = mde_cancel_new(BEFORE_MS);
    /* What cannot succeed in time is not waited for. */
    int64_t least = strcmp(argv[2], "deadline") == 0 ? BEFORE_MS - 20 : 0;
    stop_it(&job, cancel, argv[2], least);
    mde_cancel_free(cancel);

    mde_string_free(job.action);
    mde_client_free(job.client);
    return finish();
}
