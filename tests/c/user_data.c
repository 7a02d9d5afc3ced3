/* When the user data of a callback is freed: once, after the last call of the callback, with no lock held. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>

#include "service.h"

/* What the callbacks below get back. */
struct data {
    /* A call of the callback stays inside until it is let go. */
    int blocks;
    /* The free function uses the library. */
    int uses_library;
    int calls;
    int inside;
    int freed;
    int freed_inside;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void enter(struct data *data) {
    pthread_mutex_lock(&lock);
    data->calls++;
    data->inside++;
    pthread_cond_broadcast(&changed);
    while (data->blocks) {
        pthread_cond_wait(&changed, &lock);
    }
    data->inside--;
    pthread_mutex_unlock(&lock);
}

static void wait_until_inside(struct data *data) {
    pthread_mutex_lock(&lock);
    while (data->inside == 0) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static void let_go(struct data *data) {
    pthread_mutex_lock(&lock);
    data->blocks = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int freed(struct data *data) {
    pthread_mutex_lock(&lock);
    int count = data->freed;
    CHECK(!data->freed_inside, "freed while a call of the callback ran");
    pthread_mutex_unlock(&lock);
    return count;
}

static void log_line(void *user_data, int32_t level, const char *message) {
    (void)level;
    (void)message;
    enter(user_data);
}

static int32_t give_token(void *user_data, const char *token_scope, mde_token_sink *sink) {
    (void)token_scope;
    enter(user_data);
    return mde_token_set(sink, required("MDE_TEST_TOKEN"), 3600);
}

static mde_options *with_provider(struct data *data);

/* Everything here would wait for a lock that the caller held. */
static void use_library(void) {
    static struct data other;
    char *text = NULL;
    CHECK(mde_json_get("{\"a\":\"b\"}", "/a", &text) == MDE_OK, "mde_json_get");
    mde_string_free(text);
    CHECK(mde_log_set(log_line, &other, NULL, MDE_LOG_DEBUG) == MDE_OK, "mde_log_set");
    /* Not the identity of the call that is under way, which may be in the midst of getting its token. */
    mde_options *options = mde_options_new();
    set(options, "api_url", required("MDE_TEST_URL"));
    set(options, "access_token", required("MDE_TEST_TOKEN"));
    mde_client *client = client_from(options);
    CHECK(mde_list_actions(client, "", NULL, NULL) == MDE_OK, "mde_list_actions");
    mde_client_free(client);
    mde_options_free(with_provider(&other));
    CHECK(mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF) == MDE_OK, "mde_log_set");
}

static void free_data(void *user_data) {
    struct data *data = user_data;
    pthread_mutex_lock(&lock);
    data->freed++;
    data->freed_inside |= data->inside != 0;
    pthread_mutex_unlock(&lock);
    if (data->uses_library) {
        use_library();
    }
}

static mde_options *with_provider(struct data *data) {
    mde_options *options = mde_options_new();
    set(options, "api_url", required("MDE_TEST_URL"));
    CHECK(mde_options_set_token_provider(options, give_token, data, free_data) == MDE_OK, "refused");
    return options;
}

static mde_client *another_client(const mde_options *options) {
    mde_client *client = NULL;
    CHECK(mde_client_new(options, &client, NULL) == MDE_OK, "no client");
    return client;
}

/* Also where the client is shut down meanwhile. */
static void *list_actions(void *client) {
    mde_status status = mde_list_actions(client, "", NULL, NULL);
    CHECK(status == MDE_OK || status == MDE_ERR_CLOSED, "%s", mde_status_name(status));
    return NULL;
}

static pthread_t call_in_thread(mde_client *client) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, list_actions, client) == 0, "no thread");
    return thread;
}

/* ---- the log ------------------------------------------------------------------------------------- */

static void log_is_replaced(void) {
    struct data first = {0}, second = {0}, off = {0}, none = {0};
    CHECK(mde_log_set(log_line, &first, free_data, MDE_LOG_DEBUG) == MDE_OK, "refused");
    CHECK(mde_log_set(log_line, &second, free_data, MDE_LOG_DEBUG) == MDE_OK, "refused");
    CHECK(freed(&first) == 1 && freed(&second) == 0, "%d, %d", first.freed, second.freed);
    CHECK(mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF) == MDE_OK, "refused");
    CHECK(freed(&first) == 1 && freed(&second) == 1, "%d, %d", first.freed, second.freed);

    /* Taken, and no call can come. */
    CHECK(mde_log_set(log_line, &off, free_data, MDE_LOG_OFF) == MDE_OK, "refused");
    CHECK(mde_log_set(NULL, &none, free_data, MDE_LOG_DEBUG) == MDE_OK, "refused");
    CHECK(freed(&off) == 1 && freed(&none) == 1, "%d, %d", off.freed, none.freed);
}

static void log_is_replaced_by_nothing(void) {
    struct data data = {0};
    data.uses_library = 1;
    CHECK(mde_log_set(log_line, &data, free_data, MDE_LOG_DEBUG) == MDE_OK, "refused");
    CHECK(mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF) == MDE_OK, "refused");
    CHECK(freed(&data) == 1, "%d", data.freed);
}

static void log_is_refused(void) {
    struct data kept = {0}, refused = {0};
    mde_log_set(log_line, &kept, free_data, MDE_LOG_DEBUG);
    CHECK(mde_log_set(log_line, &refused, free_data, 5) == MDE_ERR_INVALID_ARGUMENT, "level 5");
    CHECK(freed(&refused) == 0 && freed(&kept) == 0, "%d, %d", refused.freed, kept.freed);
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    CHECK(freed(&refused) == 0 && freed(&kept) == 1, "%d, %d", refused.freed, kept.freed);
}

static void log_is_replaced_in_the_midst_of_a_line(void) {
    struct data data = {0};
    mde_client *client = client_from(service_options());
    data.blocks = 1;
    data.uses_library = 1;
    mde_log_set(log_line, &data, free_data, MDE_LOG_DEBUG);
    pthread_t thread = call_in_thread(client);
    wait_until_inside(&data);
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    CHECK(freed(&data) == 0, "freed in the midst of a line");
    int calls = data.calls;
    let_go(&data);
    pthread_join(thread, NULL);
    CHECK(freed(&data) == 1 && data.calls == calls, "%d, %d calls", data.freed, data.calls);
    mde_client_free(client);
}

static void replace_own(void *user_data, int32_t level, const char *message) {
    (void)level;
    (void)message;
    struct data *data = user_data;
    data->inside++;
    data->calls++;
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    CHECK(data->freed == 0, "freed under its own call");
    data->inside--;
}

static void log_is_replaced_by_its_own_callback(void) {
    struct data data = {0};
    mde_client *client = client_from(service_options());
    mde_log_set(replace_own, &data, free_data, MDE_LOG_DEBUG);
    list_actions(client);
    CHECK(data.calls == 1 && freed(&data) == 1, "%d calls, freed %d times", data.calls, data.freed);
    mde_client_free(client);
}

/* ---- the token provider ------------------------------------------------------------------------- */

static void provider_goes_with_its_last_holder(void) {
    struct data data = {0}, second = {0};
    mde_options_free(with_provider(&data));
    CHECK(freed(&data) == 1, "%d", data.freed);

    data.freed = 0;
    mde_options *options = with_provider(&data);
    mde_client *one = another_client(options);
    mde_client *other = another_client(options);
    CHECK(mde_options_set_token_provider(options, give_token, &second, free_data) == MDE_OK, "refused");
    mde_client_free(one);
    CHECK(freed(&data) == 0 && freed(&second) == 0, "%d, %d", data.freed, second.freed);
    list_actions(other);
    CHECK(data.calls == 1, "%d calls", data.calls);
    mde_client_free(other);
    CHECK(freed(&data) == 1 && freed(&second) == 0, "%d, %d", data.freed, second.freed);

    /* Options that no client can be made from keep it all the same. */
    mde_client *none = NULL;
    set(options, "auth", "client_secret");
    CHECK(mde_client_new(options, &none, NULL) == MDE_ERR_CONFIG, "a client without a secret");
    CHECK(freed(&second) == 0, "%d", second.freed);
    mde_options_free(options);
    CHECK(freed(&data) == 1 && freed(&second) == 1, "%d, %d", data.freed, second.freed);
}

static void provider_is_refused(void) {
    struct data data = {0};
    mde_options *options = mde_options_new();
    CHECK(mde_options_set_token_provider(NULL, give_token, &data, free_data) == MDE_ERR_NULL, "no options");
    CHECK(mde_options_set_token_provider(options, NULL, &data, free_data) == MDE_ERR_NULL, "no callback");
    mde_options_free(options);
    CHECK(freed(&data) == 0, "%d", data.freed);
}

static void provider_is_in_the_midst_of_a_call(void) {
    struct data data = {0};
    data.blocks = 1;
    data.uses_library = 1;
    mde_options *options = with_provider(&data);
    mde_client *client = another_client(options);
    mde_client *idle = another_client(options);
    pthread_t thread = call_in_thread(client);
    wait_until_inside(&data);
    mde_options_free(options);
    mde_client_free(idle);
    CHECK(mde_client_shutdown(client, 50) == MDE_ERR_DEADLINE, "shut down in the midst of a call");
    CHECK(freed(&data) == 0, "freed in the midst of a call");
    let_go(&data);
    pthread_join(thread, NULL);
    CHECK(mde_client_shutdown(client, 10000) == MDE_OK, "still running");
    CHECK(freed(&data) == 0, "freed with the client still there");
    mde_client_free(client);
    CHECK(freed(&data) == 1, "%d", data.freed);
}

int main(void) {
    log_is_replaced();
    log_is_replaced_by_nothing();
    log_is_refused();
    log_is_replaced_in_the_midst_of_a_line();
    log_is_replaced_by_its_own_callback();
    provider_goes_with_its_last_holder();
    provider_is_refused();
    provider_is_in_the_midst_of_a_call();
    return finish();
}
