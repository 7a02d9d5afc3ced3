/* A client's whole life against the simulator, as a C program sees it. Everything is freed. */
#include <pthread.h>

#include "service.h"

static const char NO_ACTION[] = "00000000-0000-4000-8000-000000000000";

/* Every log line of the process, end to end. */
static struct {
    pthread_mutex_t lock;
    char text[64 * 1024];
    size_t used;
} lines = {PTHREAD_MUTEX_INITIALIZER, "", 0};

static void keep_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    pthread_mutex_lock(&lines.lock);
    int length = snprintf(lines.text + lines.used, sizeof lines.text - lines.used, "%d %s\n", (int)level,
                          message);
    if (length > 0 && lines.used + (size_t)length < sizeof lines.text) {
        lines.used += (size_t)length;
    }
    pthread_mutex_unlock(&lines.lock);
}

static void versions(void) {
    CHECK(mde_abi_version() == MDE_HEADER_ABI_VERSION, "%u", (unsigned)mde_abi_version());
    CHECK(strcmp(mde_version(), MDE_HEADER_VERSION) == 0, "%s", mde_version());
    CHECK(strcmp(mde_status_name(MDE_ERR_RATE_LIMITED), "rate_limited") == 0, "wrong name");
}

/* Options as a JSON object do the same as one by one. */
static void options_as_json(void) {
    char text[1024];
    char *json = NULL;
    mde_options *options = mde_options_new();
    snprintf(text, sizeof text,
             "{\"api_url\":\"%s\",\"login_url\":\"%s\",\"tenant_id\":\"%s\",\"client_id\":\"%s\","
             "\"client_secret\":\"%s\",\"timeout_ms\":60000}",
             required("MDE_TEST_URL"), required("MDE_TEST_URL"), required("MDE_TEST_TENANT"),
             required("MDE_TEST_CLIENT"), required("MDE_TEST_SECRET"));
    int32_t status = mde_options_set_json(options, text, &json);
    CHECK(status == MDE_OK && json == NULL, "mde_options_set_json: %d", (int)status);
    mde_client *client = client_from(options);
    status = mde_list_actions(client, "", NULL, &json);
    expect_ok("a list with options from JSON", status, json);
    mde_client_free(client);
}

/* Collect, read, list, collect again. */
static void main_job(const mde_client *client) {
    char *json = NULL;
    const char *id = machine(0);
    int32_t status = mde_collect_package(client, id, "case 4711, \"quoted\" \xc3\xa9", NULL, &json);
    char *action = value_at(json, "/action/id");
    CHECK(action != NULL && strlen(action) == 36, "%s", json);
    CHECK(value_is(json, "/action/machineId", id), "%s", json);
    CHECK(value_is(json, "/action/type", "CollectInvestigationPackage"), "%s", json);
    CHECK(value_is(json, "/action/requestorComment", "case 4711, \"quoted\" \xc3\xa9"), "%s", json);
    CHECK(value_is(json, "/adopted", "false"), "%s", json);
    expect_ok("mde_collect_package", status, json);
    if (action == NULL) {
        return;
    }

    status = mde_get_action(client, action, NULL, &json);
    CHECK(value_is(json, "/action/id", action), "%s", json);
    expect_ok("mde_get_action", status, json);

    char filter[128];
    snprintf(filter, sizeof filter, "machineId eq '%s' and type eq 'CollectInvestigationPackage'", id);
    status = mde_list_actions(client, filter, NULL, &json);
    CHECK(value_is(json, "/actions/0/id", action), "%s", json);
    char *second = value_at(json, "/actions/1");
    CHECK(second == NULL, "more than one action matches: %s", json);
    mde_string_free(second);
    expect_ok("mde_list_actions", status, json);

    status = mde_list_actions(client, "status eq 'Cancelled'", NULL, &json);
    CHECK(value_is(json, "/actions", "[]"), "%s", json);
    expect_ok("a list of nothing", status, json);

    status = mde_collect_package(client, id, "again", NULL, &json);
    CHECK(value_is(json, "/action/id", action), "%s", json);
    CHECK(value_is(json, "/adopted", "true"), "%s", json);
    expect_ok("a second collection adopts the first", status, json);

    mde_options *options = service_options();
    set(options, "on_duplicate", "error");
    mde_client *strict = client_from(options);
    status = mde_collect_package(strict, id, "again", NULL, &json);
    CHECK(value_is(json, "/error/action_id", action), "%s", json);
    CHECK(value_is(json, "/error/action/id", action), "%s", json);
    CHECK(value_is(json, "/error/retryable", "false"), "%s", json);
    expect_error("on_duplicate=error", status, json, MDE_ERR_ALREADY_RUNNING, "");
    mde_client_free(strict);
    mde_string_free(action);
}

static void service_errors(const mde_client *client) {
    char *json = NULL;
    int32_t status = mde_get_action(client, NO_ACTION, NULL, &json);
    CHECK(value_is(json, "/error/http_status", "404"), "%s", json);
    CHECK(value_is(json, "/error/stage", "reply"), "%s", json);
    expect_error("an unknown action", status, json, MDE_ERR_NOT_FOUND, "");
    status = mde_collect_package(client, "0123456789012345678901234567890123456789", "why", NULL, &json);
    expect_error("an unknown machine", status, json, MDE_ERR_NOT_FOUND, "check the id");

    mde_options *options = service_options();
    set(options, "client_secret", "canary-wrong-secret");
    mde_client *stranger = client_from(options);
    status = mde_get_action(stranger, NO_ACTION, NULL, &json);
    CHECK(value_is(json, "/error/stage", "token"), "%s", json);
    CHECK(strstr(json, "canary") == NULL, "the secret is in %s", json);
    expect_error("a wrong secret", status, json, MDE_ERR_TOKEN, "secret");
    /* Documents may be left out. */
    CHECK(mde_get_action(stranger, NO_ACTION, NULL, NULL) == MDE_ERR_TOKEN, "without a document");
    mde_client_free(stranger);
}

static void quota(const mde_client *client) {
    char *json = NULL;
    int32_t status = mde_get_quota(client, &json);
    CHECK(value_is(json, "/quotas/0/endpoint", "collect"), "%s", json);
    CHECK(value_is(json, "/quotas/0/limit", "100"), "%s", json);
    CHECK(value_is(json, "/quotas/0/window_s", "60"), "%s", json);
    CHECK(value_is(json, "/quotas/0/in_flight", "0"), "%s", json);
    CHECK(value_is(json, "/quotas/0/queued", "0"), "%s", json);
    CHECK(value_is(json, "/quotas/0/available_in_ms", "0"), "%s", json);
    char *used = value_at(json, "/quotas/0/used");
    CHECK(used != NULL && atoi(used) >= 3, "%s", json);
    mde_string_free(used);
    expect_ok("mde_get_quota", status, json);
}

/* ---- stopping a call that the service never answers --------------------------------------------- */

struct stopper {
    const mde_cancel *cancel;
    mde_client *client;
    int32_t status;
};

static void *trigger_soon(void *argument) {
    struct stopper *stopper = argument;
    sleep_ms(300);
    mde_cancel_trigger(stopper->cancel);
    return NULL;
}

static void *shut_down_soon(void *argument) {
    struct stopper *stopper = argument;
    sleep_ms(300);
    stopper->status = mde_client_shutdown(stopper->client, 10000);
    return NULL;
}

/* Far less than any timeout of the library, far more than a slow machine under valgrind needs. */
enum { SOON_MS = 8000 };

static void cancelling(const mde_client *client) {
    char *json = NULL;
    mde_cancel *cancel = mde_cancel_new(0);
    mde_cancel_trigger(cancel);
    mde_cancel_trigger(cancel);
    int32_t status = mde_list_actions(client, "", cancel, &json);
    expect_error("cancelled before the call", status, json, MDE_ERR_CANCELLED, "");
    mde_cancel_free(cancel);

    cancel = mde_cancel_new(0);
    struct stopper stopper = {cancel, NULL, 0};
    pthread_t thread;
    int64_t start = now_ms();
    CHECK(pthread_create(&thread, NULL, trigger_soon, &stopper) == 0, "no thread");
    status = mde_collect_package(client, stalled_machine(), "why", cancel, &json);
    CHECK(now_ms() - start < SOON_MS, "it took %d ms", (int)(now_ms() - start));
    /* The service may have begun: the caller has to know. */
    expect_error("cancelled by another thread", status, json, MDE_ERR_CANCELLED, "look for it among");
    pthread_join(thread, NULL);
    mde_cancel_free(cancel);

    start = now_ms();
    cancel = mde_cancel_new(300);
    status = mde_collect_package(client, stalled_machine(), "why", cancel, &json);
    CHECK(now_ms() - start >= 300 && now_ms() - start < SOON_MS, "%d ms", (int)(now_ms() - start));
    expect_error("a deadline", status, json, MDE_ERR_DEADLINE, "deadline");
    /* A handle whose time is up stops the next call as well. */
    status = mde_get_action(client, NO_ACTION, cancel, &json);
    expect_error("after the deadline", status, json, MDE_ERR_DEADLINE, "deadline");
    mde_cancel_free(cancel);
}

static void shutting_down(void) {
    char *json = NULL;
    mde_client *client = client_from(service_options());
    struct stopper stopper = {NULL, client, -1};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, shut_down_soon, &stopper) == 0, "no thread");
    int32_t status = mde_collect_package(client, stalled_machine(), "why", NULL, &json);
    expect_error("shut down under a call", status, json, MDE_ERR_CLOSED, "shut down");
    pthread_join(thread, NULL);
    CHECK(stopper.status == MDE_OK, "mde_client_shutdown: %d", (int)stopper.status);
    status = mde_get_action(client, NO_ACTION, NULL, &json);
    expect_error("a call after shutdown", status, json, MDE_ERR_CLOSED, "shut down");
    CHECK(mde_client_shutdown(client, 0) == MDE_OK, "a second shutdown");
    mde_client_free(client);
}

/* ---- tokens from the host ----------------------------------------------------------------------- */

struct host {
    const char *token;
    int32_t result;
    int calls;
    int scope_fits;
};

static int32_t host_token(void *user_data, const char *scope, mde_token_sink *sink) {
    struct host *host = user_data;
    host->calls++;
    host->scope_fits = strcmp(scope, "https://example.test/.default") == 0;
    if (host->token != NULL && mde_token_set(sink, host->token, 3600) != MDE_OK) {
        return -1;
    }
    return host->result;
}

static mde_client *client_with(struct host *host) {
    mde_options *options = mde_options_new();
    set(options, "api_url", required("MDE_TEST_URL"));
    set(options, "scope", "https://example.test/.default");
    CHECK(mde_options_set_token_provider(options, host_token, host, NULL) == MDE_OK, "refused");
    return client_from(options);
}

static void token_callback(void) {
    char *json = NULL;
    struct host host = {required("MDE_TEST_TOKEN"), 0, 0, 0};
    mde_client *client = client_with(&host);
    int32_t status = mde_list_actions(client, "", NULL, &json);
    expect_ok("a token from the host", status, json);
    status = mde_list_actions(client, "", NULL, &json);
    expect_ok("the same token again", status, json);
    CHECK(host.calls == 1 && host.scope_fits, "called %d times", host.calls);
    mde_client_free(client);

    struct host failing = {NULL, 42, 0, 0};
    client = client_with(&failing);
    status = mde_list_actions(client, "", NULL, &json);
    CHECK(value_is(json, "/error/stage", "token"), "%s", json);
    expect_error("a callback that fails", status, json, MDE_ERR_TOKEN, "42");
    mde_client_free(client);

    struct host forgetful = {NULL, 0, 0, 0};
    client = client_with(&forgetful);
    status = mde_list_actions(client, "", NULL, &json);
    expect_error("a callback without a token", status, json, MDE_ERR_TOKEN, "mde_token_set");
    mde_client_free(client);

    struct host stale = {"canary-stale-token", 0, 0, 0};
    client = client_with(&stale);
    status = mde_list_actions(client, "", NULL, &json);
    CHECK(strstr(json, "canary") == NULL, "the token is in %s", json);
    expect_error("a token nobody takes", status, json, MDE_ERR_UNAUTHORIZED, "");
    CHECK(stale.calls == 2, "asked %d times, not once more after the refusal", stale.calls);
    mde_client_free(client);
}

/* Last, when all that could be logged has been. */
static void log_lines(void) {
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    CHECK(strstr(lines.text, "collectInvestigationPackage: HTTP 201") != NULL, "%s", lines.text);
    CHECK(strstr(lines.text, "\n4 ") != NULL, "no line of level debug: %s", lines.text);
    CHECK(strstr(lines.text, required("MDE_TEST_SECRET")) == NULL, "the secret was logged");
    CHECK(strstr(lines.text, required("MDE_TEST_TOKEN")) == NULL, "a token was logged");
    CHECK(strstr(lines.text, "Bearer") == NULL, "an authorization header was logged");
    CHECK(strstr(lines.text, "canary") == NULL, "a secret was logged: %s", lines.text);
}

int main(void) {
    mde_log_set(keep_line, NULL, NULL, MDE_LOG_DEBUG);
    versions();
    mde_client *client = client_from(service_options());
    main_job(client);
    service_errors(client);
    quota(client);
    cancelling(client);
    CHECK(mde_client_shutdown(client, 0) == MDE_OK, "shutdown of an idle client");
    mde_client_free(client);
    options_as_json();
    shutting_down();
    token_callback();
    log_lines();
    return finish();
}
