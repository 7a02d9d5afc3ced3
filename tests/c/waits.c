/*
 * A call that the service keeps waiting ends soon after it is cancelled, and at its deadline.
 *
 *     waits read|collect|wait|download NAME-OF-THE-STATUS-AT-THE-DEADLINE PATH [OPTION=VALUE...]
 */
#include <pthread.h>

#include "job.h"

/* How long a call runs before it is stopped, and at most afterwards: far less than any timeout of the library. */
enum { BEFORE_MS = 400, AFTER_MS = 2000 };

static void *trigger_soon(void *argument) {
    sleep_ms(BEFORE_MS);
    mde_cancel_trigger(argument);
    return NULL;
}

static void stop_it(const struct job *job, mde_cancel *cancel, const char *expected, int64_t least) {
    char *json = NULL;
    int64_t start = now_ms();
    int32_t status = job_run(job, cancel, &json);
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
    struct job job = job_new(argv[1], argv[3], argv + 4, argc - 4);

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

    job_free(&job);
    return finish();
}
