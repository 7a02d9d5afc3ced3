/*
 * Threads whose end the library sees from inside: cancelled in a callback, and ended by pthread_exit() in each kind of
 * callback, as the end of a Python interpreter ends them. The process lives on.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>

#include "service.h"

static int exit_value;

/* ---- cancelled in a callback --------------------------------------------------------------------- */

struct watched {
    mde_client *client;
    const char *action;
    int events;
    int before;
    int within;
    int after;
    int32_t status;
};

/* The state of the thread, 1 for enabled. */
static int cancellable(void) {
    int state = -1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_setcancelstate(state, NULL);
    return state == PTHREAD_CANCEL_ENABLE;
}

static int32_t cancel_oneself(void *user_data, const char *event) {
    struct watched *watched = user_data;
    (void)event;
    watched->events++;
    watched->within = cancellable();
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return 1;
}

static void *wait_until_cancelled(void *argument) {
    struct watched *watched = argument;
    watched->before = cancellable();
    watched->status =
        mde_wait_action(watched->client, watched->action, cancel_oneself, watched, NULL, NULL);
    watched->after = cancellable();
    pthread_testcancel();
    return NULL;
}

static void a_cancellation_waits_for_the_callback_and_its_call(mde_client *client, const char *action) {
    struct watched watched = {client, action, 0, 0, 1, 0, MDE_OK};
    pthread_t thread;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, wait_until_cancelled, &watched) == 0, "no thread");
    pthread_join(thread, &result);
    CHECK(watched.events == 1 && watched.status == MDE_ERR_CANCELLED, "%d events, %s", watched.events,
          mde_status_name(watched.status));
    CHECK(watched.before && !watched.within && watched.after, "%d %d %d", watched.before, watched.within,
          watched.after);
    CHECK(result == PTHREAD_CANCELED, "the thread was not cancelled after its call");
}

/* A host that has switched cancellation off finds it so. */
static void the_host_keeps_its_state(mde_client *client) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    CHECK(mde_get_quota(client, NULL) == MDE_OK, "mde_get_quota");
    CHECK(!cancellable(), "cancellation is on");
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
}

/* ---- ended in a callback ------------------------------------------------------------------------- */

static int32_t end_in_progress(void *user_data, const char *event) {
    (void)user_data;
    (void)event;
    pthread_exit(&exit_value);
}

static int32_t end_in_provider(void *user_data, const char *token_scope, mde_token_sink *sink) {
    (void)user_data;
    (void)token_scope;
    (void)sink;
    pthread_exit(&exit_value);
}

static int32_t end_in_signer(void *user_data, const char *algorithm, const uint8_t *data, uint64_t size,
                             mde_signature_sink *sink) {
    (void)user_data;
    (void)algorithm;
    (void)data;
    (void)size;
    (void)sink;
    pthread_exit(&exit_value);
}

static void end_in_log(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    (void)level;
    (void)message;
    pthread_exit(&exit_value);
}

static void end_in_free(void *user_data) {
    (void)user_data;
    pthread_exit(&exit_value);
}

struct caller {
    mde_client *client;
    const char *action;
    mde_options *options;
};

static void *wait_for_it(void *argument) {
    struct caller *caller = argument;
    mde_wait_action(caller->client, caller->action, end_in_progress, NULL, NULL, NULL);
    return NULL;
}

static void *list(void *argument) {
    struct caller *caller = argument;
    mde_list_actions(caller->client, "", NULL, NULL);
    return NULL;
}

static void *free_options(void *argument) {
    struct caller *caller = argument;
    mde_options_free(caller->options);
    return NULL;
}

static void thread_ends(const char *where, void *(*call)(void *), struct caller *caller) {
    pthread_t thread;
    void *result = NULL;
    CHECK(pthread_create(&thread, NULL, call, caller) == 0, "no thread");
    CHECK(pthread_join(thread, &result) == 0, "%s", where);
    CHECK(result == &exit_value, "%s: the call returned", where);
}

static mde_options *with_provider(mde_free_fn free_user_data) {
    mde_options *options = mde_options_new();
    set(options, "api_url", required("MDE_TEST_URL"));
    CHECK(mde_options_set_token_provider(options, end_in_provider, NULL, free_user_data) == MDE_OK, "refused");
    return options;
}

/* Everything that is not the call's own goes on working. */
static void all_else_works(const char *where, const mde_client *client) {
    char *json = NULL;
    int32_t status = mde_list_actions(client, "", NULL, &json);
    expect_ok(where, status, json);
    status = mde_find_machines(client, machine(0), NULL, &json);
    expect_ok(where, status, json);
}

int main(void) {
    mde_client *client = client_from(service_options());
    mde_client *other = client_from(service_options());
    char *json = NULL;
    int32_t status = mde_collect_package(client, machine(0), "why", NULL, &json);
    char *action = value_at(json, "/action/id");
    expect_ok("mde_collect_package", status, json);

    a_cancellation_waits_for_the_callback_and_its_call(client, action);
    the_host_keeps_its_state(client);
    CHECK(mde_client_shutdown(client, 10000) == MDE_OK, "a call is left");
    mde_client_free(client);

    client = client_from(service_options());
    struct caller caller = {client, action, NULL};
    thread_ends("in the progress callback", wait_for_it, &caller);
    all_else_works("after the end in the progress callback", client);
    all_else_works("after the end in the progress callback, another client", other);
    /* For the library that callback never returns. */
    CHECK(mde_client_shutdown(client, 0) == MDE_ERR_DEADLINE, "the call is over");

    caller.client = other;
    CHECK(mde_log_set(end_in_log, NULL, NULL, MDE_LOG_DEBUG) == MDE_OK, "refused");
    thread_ends("in the log callback", list, &caller);
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    all_else_works("after the end in the log callback", other);

    mde_options *options = with_provider(NULL);
    CHECK(mde_client_new(options, &caller.client, NULL) == MDE_OK, "no client");
    thread_ends("in the token callback", list, &caller);
    all_else_works("after the end in the token callback", other);
    mde_cancel *soon = mde_cancel_new(50);
    status = mde_list_actions(caller.client, "", soon, &json);
    CHECK(status == MDE_ERR_DEADLINE, "a call that waits for that token: %s", json);
    mde_string_free(json);
    mde_cancel_free(soon);
    mde_options_free(options);

    options = mde_options_new();
    set(options, "api_url", required("MDE_TEST_URL"));
    set(options, "login_url", required("MDE_TEST_URL"));
    set(options, "tenant_id", required("MDE_TEST_TENANT"));
    set(options, "client_id", required("MDE_TEST_CLIENT"));
    set(options, "client_certificate", required("MDE_TEST_CERTIFICATE"));
    CHECK(mde_options_set_signer(options, end_in_signer, NULL, NULL) == MDE_OK, "refused");
    CHECK(mde_client_new(options, &caller.client, NULL) == MDE_OK, "no client");
    thread_ends("in the signing callback", list, &caller);
    all_else_works("after the end in the signing callback", other);
    mde_options_free(options);

    caller.options = with_provider(end_in_free);
    thread_ends("in free_user_data", free_options, &caller);
    all_else_works("after the end in free_user_data", other);

    mde_string_free(action);
    return finish();
}
