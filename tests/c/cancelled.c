/*
 * A thread that is cancelled while the service keeps its call waiting: the call ends as it would without that, and the
 * thread at its own next cancellation point.
 *
 *     cancelled read|collect|wait|download PATH [OPTION=VALUE...]
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>

#include "job.h"

enum { BEFORE_MS = 400 };

struct caller {
    const struct job *job;
    mde_cancel *cancel;
    /* Guarded by the lock. */
    int returned;
    int32_t status;
    int cleaned_up;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_back(struct caller *caller) {
    pthread_mutex_lock(&lock);
    int is_back = caller->returned;
    pthread_mutex_unlock(&lock);
    return is_back;
}

static void clean_up(void *argument) {
    ((struct caller *)argument)->cleaned_up = 1;
}

static void *call(void *argument) {
    struct caller *caller = argument;
    pthread_cleanup_push(clean_up, caller);
    char *json = NULL;
    int32_t status = job_run(caller->job, caller->cancel, &json);
    mde_string_free(json);
    pthread_mutex_lock(&lock);
    caller->status = status;
    caller->returned = 1;
    pthread_mutex_unlock(&lock);
    for (;;) {
        pthread_testcancel();
        sleep_ms(10);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    struct job job = job_new(argv[1], argv[2], argv + 3, argc - 3);
    struct caller caller = {&job, mde_cancel_new(0), 0, MDE_OK, 0};
    pthread_t thread;
    void *result = NULL;

    CHECK(pthread_create(&thread, NULL, call, &caller) == 0, "no thread");
    sleep_ms(BEFORE_MS);
    CHECK(!is_back(&caller), "the call did not wait");
    CHECK(pthread_cancel(thread) == 0, "not cancelled");
    sleep_ms(BEFORE_MS);
    CHECK(!is_back(&caller), "the cancellation ended the call");
    mde_cancel_trigger(caller.cancel);
    pthread_join(thread, &result);
    CHECK(caller.returned && caller.status == MDE_ERR_CANCELLED, "%s", mde_status_name(caller.status));
    CHECK(result == PTHREAD_CANCELED && caller.cleaned_up, "the thread was not cancelled after its call");
    CHECK(mde_client_shutdown(job.client, 10000) == MDE_OK, "the call is still counted as running");
    mde_cancel_free(caller.cancel);
    job_free(&job);
    return finish();
}
