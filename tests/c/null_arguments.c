/*
 * Every exported function, with NULL in every place of a pointer.
 *
 * `null_arguments --list` prints the functions in the table; the test runner compares them with the
 * exports of the library, so that a new function cannot be forgotten here.
 */
#include "support.h"

enum { NOWHERE = -1, MAX_ARGUMENTS = 7 };

/* NULL in place `at`, something valid in the others. */
#define UNLESS(at, value) (null_at == (at) ? NULL : (value))

static mde_options *options;
/* Nothing listens where it would call, so calls that get that far end with MDE_ERR_CONNECT. */
static mde_client *client;
static mde_cancel *cancel;

static const char MACHINE[] = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
static const char ACTION[] = "5382f7ea-7557-4ab7-9782-d50480024a4e";

/* Garbage for places that a function must overwrite on entry. */
static char garbage;

static int32_t give_token(void *user_data, const char *scope, mde_token_sink *sink) {
    (void)user_data;
    (void)scope;
    return mde_token_set(sink, "token", 60);
}

static void ignore_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    (void)level;
    (void)message;
}

static void free_nothing(void *user_data) {
    (void)user_data;
}

/* ---- one function each: the call with NULL in place `null_at` ---------------------------------- */

static int32_t version(int null_at, char **json) {
    (void)null_at;
    (void)json;
    return mde_version() != NULL ? MDE_OK : MDE_ERR_INTERNAL;
}

static int32_t abi_version(int null_at, char **json) {
    (void)null_at;
    (void)json;
    return mde_abi_version() == MDE_HEADER_ABI_VERSION ? MDE_OK : MDE_ERR_INTERNAL;
}

static int32_t status_name(int null_at, char **json) {
    (void)null_at;
    (void)json;
    return mde_status_name(MDE_OK) != NULL ? MDE_OK : MDE_ERR_INTERNAL;
}

static int32_t string_free(int null_at, char **json) {
    char *text = NULL;
    (void)json;
    mde_json_get("1", "", &text);
    mde_string_free(UNLESS(0, text));
    if (null_at == 0) {
        mde_string_free(text);
    }
    return MDE_OK;
}

static int32_t json_get(int null_at, char **json) {
    char *value = &garbage;
    (void)json;
    int32_t status = mde_json_get(UNLESS(0, "{\"a\":1}"), UNLESS(1, "/a"), UNLESS(2, &value));
    if (null_at == 0 || null_at == 1) {
        CHECK(value == NULL, "*out_value is not NULL after a failure");
    } else if (null_at == NOWHERE) {
        mde_string_free(value);
    }
    return status;
}

static int32_t log_set(int null_at, char **json) {
    (void)json;
    int32_t status =
        mde_log_set(UNLESS(0, ignore_line), UNLESS(1, &garbage), UNLESS(2, free_nothing), MDE_LOG_DEBUG);
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    return status;
}

/* A sink exists only inside a token callback, which reports through its user data. */
struct token_probe {
    int null_at;
    int32_t status;
};

static int32_t probe_token(void *user_data, const char *scope, mde_token_sink *sink) {
    struct token_probe *probe = user_data;
    int null_at = probe->null_at;
    CHECK(scope != NULL && sink != NULL, "the callback got NULL");
    probe->status = mde_token_set(UNLESS(0, sink), UNLESS(1, "token"), 60);
    return 1;
}

static int32_t token_set(int null_at, char **json) {
    struct token_probe probe = {null_at, MDE_ERR_INTERNAL};
    mde_options *own = mde_options_new();
    mde_client *asking = NULL;
    (void)json;
    mde_options_set_token_provider(own, probe_token, &probe, NULL);
    mde_client_new(own, &asking, NULL);
    mde_get_action(asking, ACTION, NULL, NULL);
    mde_client_free(asking);
    mde_options_free(own);
    return probe.status;
}

static int32_t probe_signature(void *user_data, const char *algorithm, const uint8_t *data, uint64_t size,
                               mde_signature_sink *sink) {
    static const uint8_t signature[256] = {1};
    struct token_probe *probe = user_data;
    int null_at = probe->null_at;
    CHECK(algorithm != NULL && data != NULL && size > 0 && sink != NULL, "the callback got NULL");
    if (null_at == 2) {
        CHECK(mde_signature_time_left_ms(NULL) == 0, "time without a sink");
        CHECK(mde_signature_time_left_ms(sink) > 0, "no time");
        probe->status = MDE_OK;
    } else {
        probe->status = mde_signature_set(UNLESS(0, sink), UNLESS(1, signature), sizeof signature);
    }
    return 1;
}

static int32_t sign(int null_at) {
    struct token_probe probe = {null_at, MDE_ERR_INTERNAL};
    mde_options *own = mde_options_new();
    mde_client *asking = NULL;
    set(own, "tenant_id", "contoso.example");
    set(own, "client_id", "3a8f5d02-6b7c-4e19-9f48-c2d1708be563");
    set(own, "client_certificate", required("MDE_TEST_CERTIFICATE"));
    mde_options_set_signer(own, probe_signature, &probe, NULL);
    mde_client_new(own, &asking, NULL);
    mde_get_action(asking, ACTION, NULL, NULL);
    mde_client_free(asking);
    mde_options_free(own);
    return probe.status;
}

static int32_t signature_set(int null_at, char **json) {
    (void)json;
    return sign(null_at);
}

static int32_t signature_time_left_ms(int null_at, char **json) {
    (void)null_at;
    (void)json;
    return sign(2);
}

static int32_t options_set_signer(int null_at, char **json) {
    mde_options *own = mde_options_new();
    (void)json;
    int32_t status = mde_options_set_signer(UNLESS(0, own), UNLESS(1, probe_signature), UNLESS(2, &garbage),
                                            UNLESS(3, free_nothing));
    mde_options_free(own);
    return status;
}

static int32_t options_new(int null_at, char **json) {
    mde_options *made = mde_options_new();
    (void)null_at;
    (void)json;
    CHECK(made != NULL, "mde_options_new gave NULL");
    mde_options_free(made);
    return MDE_OK;
}

static int32_t options_free(int null_at, char **json) {
    (void)json;
    mde_options_free(UNLESS(0, mde_options_new()));
    return MDE_OK;
}

static int32_t options_set(int null_at, char **json) {
    return mde_options_set(UNLESS(0, options), UNLESS(1, "max_retries"), UNLESS(2, "0"), json);
}

static int32_t options_set_json(int null_at, char **json) {
    return mde_options_set_json(UNLESS(0, options), UNLESS(1, "{\"max_retries\":0}"), json);
}

static int32_t options_set_token_provider(int null_at, char **json) {
    mde_options *own = mde_options_new();
    (void)json;
    int32_t status =
        mde_options_set_token_provider(UNLESS(0, own), UNLESS(1, give_token), UNLESS(2, &garbage),
                                       UNLESS(3, free_nothing));
    mde_options_free(own);
    return status;
}

static int32_t client_new(int null_at, char **json) {
    mde_client *made = (mde_client *)(void *)&garbage;
    int32_t status = mde_client_new(UNLESS(0, options), UNLESS(1, &made), json);
    if (null_at == 0) {
        CHECK(made == NULL, "*out_client is not NULL after a failure");
    } else if (null_at == NOWHERE) {
        mde_client_free(made);
    }
    return status;
}

static int32_t client_shutdown(int null_at, char **json) {
    mde_client *own = NULL;
    (void)json;
    mde_client_new(options, &own, NULL);
    int32_t status = mde_client_shutdown(UNLESS(0, own), 0);
    mde_client_free(own);
    return status;
}

static int32_t client_free(int null_at, char **json) {
    mde_client *own = NULL;
    (void)json;
    mde_client_new(options, &own, NULL);
    mde_client_free(UNLESS(0, own));
    if (null_at == 0) {
        mde_client_free(own);
    }
    return MDE_OK;
}

static int32_t cancel_new(int null_at, char **json) {
    mde_cancel *made = mde_cancel_new(1);
    (void)null_at;
    (void)json;
    CHECK(made != NULL, "mde_cancel_new gave NULL");
    mde_cancel_free(made);
    return MDE_OK;
}

static int32_t cancel_trigger(int null_at, char **json) {
    mde_cancel *own = mde_cancel_new(0);
    (void)json;
    mde_cancel_trigger(UNLESS(0, own));
    mde_cancel_free(own);
    return MDE_OK;
}

static int32_t cancel_free(int null_at, char **json) {
    (void)json;
    mde_cancel_free(UNLESS(0, mde_cancel_new(0)));
    return MDE_OK;
}

static int32_t collect_package(int null_at, char **json) {
    return mde_collect_package(UNLESS(0, client), UNLESS(1, MACHINE), UNLESS(2, "why"),
                               UNLESS(3, cancel), json);
}

static int32_t get_action(int null_at, char **json) {
    return mde_get_action(UNLESS(0, client), UNLESS(1, ACTION), UNLESS(2, cancel), json);
}

static int32_t list_actions(int null_at, char **json) {
    return mde_list_actions(UNLESS(0, client), UNLESS(1, ""), UNLESS(2, cancel), json);
}

static int32_t get_package_uri(int null_at, char **json) {
    return mde_get_package_uri(UNLESS(0, client), UNLESS(1, ACTION), UNLESS(2, cancel), json);
}

static int32_t ignore_event(void *user_data, const char *event_json) {
    (void)user_data;
    (void)event_json;
    return 0;
}

static int32_t wait_action(int null_at, char **json) {
    return mde_wait_action(UNLESS(0, client), UNLESS(1, ACTION), UNLESS(2, ignore_event),
                           UNLESS(3, &garbage), UNLESS(4, cancel), json);
}

static int32_t cancel_action(int null_at, char **json) {
    return mde_cancel_action(UNLESS(0, client), UNLESS(1, ACTION), UNLESS(2, "why"),
                             UNLESS(3, cancel), json);
}

static int32_t find_machines(int null_at, char **json) {
    return mde_find_machines(UNLESS(0, client), UNLESS(1, MACHINE), UNLESS(2, cancel), json);
}

static int32_t download_package(int null_at, char **json) {
    return mde_download_package(UNLESS(0, client), UNLESS(1, ACTION), UNLESS(2, "."),
                                UNLESS(3, ignore_event), UNLESS(4, &garbage), UNLESS(5, cancel), json);
}

static int32_t fetch_package(int null_at, char **json) {
    return mde_fetch_package(UNLESS(0, client), UNLESS(1, MACHINE), UNLESS(2, "why"), UNLESS(3, "."),
                             UNLESS(4, ignore_event), UNLESS(5, &garbage), UNLESS(6, cancel), json);
}

/* The folder does not exist, so the call gets as far as the file system. */
static int32_t fetch_packages(int null_at, char **json) {
    return mde_fetch_packages(UNLESS(0, client), UNLESS(1, "[]"), UNLESS(2, "why"), UNLESS(3, "no such folder"),
                              UNLESS(4, ignore_event), UNLESS(5, &garbage), UNLESS(6, cancel), json);
}

static int32_t read_packages(int null_at, char **json) {
    return mde_read_packages(UNLESS(0, "no such folder"), json);
}

static int32_t get_quota(int null_at, char **json) {
    return mde_get_quota(UNLESS(0, client), json);
}

/* What it finds is in the document. */
static int32_t check_access(int null_at, char **json) {
    return mde_check_access(UNLESS(0, client), UNLESS(1, cancel), json);
}

/* A folder is no package, so the call gets as far as the file system. */
static int32_t inspect_package(int null_at, char **json) {
    return mde_inspect_package(UNLESS(0, "/"), UNLESS(1, ignore_event), UNLESS(2, &garbage),
                               UNLESS(3, cancel), json);
}

/* ---- the table --------------------------------------------------------------------------------- */

/* Whether the function has an out_json, where it explains itself: always, or its failures alone. */
enum { SILENT, DOCUMENT, FAILURE };

struct argument {
    const char *name;
    int32_t when_null;
};

static const struct row {
    const char *function;
    int32_t (*call)(int null_at, char **json);
    int speaks;
    int32_t when_valid;
    /* Every pointer in order, out_json apart, with the status that NULL in its place gives. */
    struct argument arguments[MAX_ARGUMENTS];
} TABLE[] = {
    {"mde_version", version, SILENT, MDE_OK, {{NULL, 0}}},
    {"mde_abi_version", abi_version, SILENT, MDE_OK, {{NULL, 0}}},
    {"mde_status_name", status_name, SILENT, MDE_OK, {{NULL, 0}}},
    {"mde_string_free", string_free, SILENT, MDE_OK, {{"text", MDE_OK}}},
    {"mde_json_get", json_get, SILENT, MDE_OK,
     {{"json", MDE_ERR_NULL}, {"json_pointer", MDE_ERR_NULL}, {"out_value", MDE_ERR_NULL}}},
    {"mde_log_set", log_set, SILENT, MDE_OK, {{"callback", MDE_OK}, {"user_data", MDE_OK}, {"free_user_data", MDE_OK}}},
    {"mde_token_set", token_set, SILENT, MDE_OK, {{"sink", MDE_ERR_NULL}, {"token", MDE_ERR_NULL}}},
    {"mde_signature_set", signature_set, SILENT, MDE_OK, {{"sink", MDE_ERR_NULL}, {"signature", MDE_ERR_NULL}}},
    {"mde_signature_time_left_ms", signature_time_left_ms, SILENT, MDE_OK, {{"sink", MDE_OK}}},
    {"mde_options_set_signer", options_set_signer, SILENT, MDE_OK,
     {{"options", MDE_ERR_NULL},
      {"callback", MDE_ERR_NULL},
      {"user_data", MDE_OK},
      {"free_user_data", MDE_OK}}},
    {"mde_options_new", options_new, SILENT, MDE_OK, {{NULL, 0}}},
    {"mde_options_free", options_free, SILENT, MDE_OK, {{"options", MDE_OK}}},
    {"mde_options_set", options_set, FAILURE, MDE_OK,
     {{"options", MDE_ERR_NULL}, {"name", MDE_ERR_NULL}, {"value", MDE_ERR_NULL}}},
    {"mde_options_set_json", options_set_json, FAILURE, MDE_OK,
     {{"options", MDE_ERR_NULL}, {"json", MDE_ERR_NULL}}},
    {"mde_options_set_token_provider", options_set_token_provider, SILENT, MDE_OK,
     {{"options", MDE_ERR_NULL},
      {"callback", MDE_ERR_NULL},
      {"user_data", MDE_OK},
      {"free_user_data", MDE_OK}}},
    {"mde_client_new", client_new, FAILURE, MDE_OK,
     {{"options", MDE_ERR_NULL}, {"out_client", MDE_ERR_NULL}}},
    {"mde_client_shutdown", client_shutdown, SILENT, MDE_OK, {{"client", MDE_ERR_NULL}}},
    {"mde_client_free", client_free, SILENT, MDE_OK, {{"client", MDE_OK}}},
    {"mde_cancel_new", cancel_new, SILENT, MDE_OK, {{NULL, 0}}},
    {"mde_cancel_trigger", cancel_trigger, SILENT, MDE_OK, {{"cancel", MDE_OK}}},
    {"mde_cancel_free", cancel_free, SILENT, MDE_OK, {{"cancel", MDE_OK}}},
    {"mde_collect_package", collect_package, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL},
      {"machine_id", MDE_ERR_NULL},
      {"comment", MDE_ERR_NULL},
      {"cancel", MDE_ERR_CONNECT}}},
    {"mde_get_action", get_action, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL}, {"action_id", MDE_ERR_NULL}, {"cancel", MDE_ERR_CONNECT}}},
    {"mde_list_actions", list_actions, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL}, {"odata_filter", MDE_ERR_NULL}, {"cancel", MDE_ERR_CONNECT}}},
    {"mde_wait_action", wait_action, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL},
      {"action_id", MDE_ERR_NULL},
      {"progress", MDE_ERR_CONNECT},
      {"user_data", MDE_ERR_CONNECT},
      {"cancel", MDE_ERR_CONNECT}}},
    {"mde_cancel_action", cancel_action, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL},
      {"action_id", MDE_ERR_NULL},
      {"comment", MDE_ERR_NULL},
      {"cancel", MDE_ERR_CONNECT}}},
    {"mde_find_machines", find_machines, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL}, {"query", MDE_ERR_NULL}, {"cancel", MDE_ERR_CONNECT}}},
    {"mde_get_package_uri", get_package_uri, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL}, {"action_id", MDE_ERR_NULL}, {"cancel", MDE_ERR_CONNECT}}},
    {"mde_download_package", download_package, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL},
      {"action_id", MDE_ERR_NULL},
      {"path", MDE_ERR_NULL},
      {"progress", MDE_ERR_CONNECT},
      {"user_data", MDE_ERR_CONNECT},
      {"cancel", MDE_ERR_CONNECT}}},
    {"mde_fetch_package", fetch_package, DOCUMENT, MDE_ERR_CONNECT,
     {{"client", MDE_ERR_NULL},
      {"machine_id", MDE_ERR_NULL},
      {"comment", MDE_ERR_NULL},
      {"path", MDE_ERR_NULL},
      {"progress", MDE_ERR_CONNECT},
      {"user_data", MDE_ERR_CONNECT},
      {"cancel", MDE_ERR_CONNECT}}},
    {"mde_fetch_packages", fetch_packages, DOCUMENT, MDE_ERR_FILE,
     {{"client", MDE_ERR_NULL},
      {"devices_json", MDE_ERR_FILE},
      {"comment", MDE_ERR_NULL},
      {"folder", MDE_ERR_NULL},
      {"progress", MDE_ERR_FILE},
      {"user_data", MDE_ERR_FILE},
      {"cancel", MDE_ERR_FILE}}},
    {"mde_read_packages", read_packages, DOCUMENT, MDE_ERR_FILE, {{"folder", MDE_ERR_NULL}}},
    {"mde_get_quota", get_quota, DOCUMENT, MDE_OK, {{"client", MDE_ERR_NULL}}},
    {"mde_check_access", check_access, DOCUMENT, MDE_OK, {{"client", MDE_ERR_NULL}, {"cancel", MDE_OK}}},
    {"mde_inspect_package", inspect_package, DOCUMENT, MDE_ERR_FILE,
     {{"path", MDE_ERR_NULL},
      {"progress", MDE_ERR_FILE},
      {"user_data", MDE_ERR_FILE},
      {"cancel", MDE_ERR_FILE}}},
};

enum { ROWS = sizeof TABLE / sizeof TABLE[0] };

/* One call, with a document and without one. */
static void try_null(const struct row *row, int null_at, int32_t expected) {
    char what[128];
    const char *argument = null_at == NOWHERE ? "nothing" : row->arguments[null_at].name;
    snprintf(what, sizeof what, "%s with NULL for %s", row->function, argument);

    int32_t status = row->call(null_at, NULL);
    CHECK(status == expected, "%s, out_json NULL: status %d, not %d", what, (int)status, (int)expected);
    if (row->speaks == SILENT) {
        return;
    }
    char *json = &garbage;
    status = row->call(null_at, &json);
    CHECK(json != &garbage, "%s: *out_json was left as it was", what);
    if (json == &garbage) {
        return;
    }
    char quoted[64];
    snprintf(quoted, sizeof quoted, "`%s` is NULL", argument);
    switch (expected) {
    case MDE_OK:
        if (row->speaks == FAILURE) {
            CHECK(status == MDE_OK && json == NULL, "%s: %d, %s", what, (int)status,
                  json != NULL ? json : "no document");
        } else {
            expect_ok(what, status, json);
        }
        break;
    case MDE_ERR_NULL:
        expect_error(what, status, json, expected, quoted);
        break;
    default:
        expect_error(what, status, json, expected, "");
    }
}

static void prepare(void) {
    options = mde_options_new();
    set(options, "access_token", "token");
    set(options, "api_url", "http://127.0.0.1:1");
    set(options, "max_retries", "0");
    /* Refused connections count for nothing, but should one be counted, no call may wait for a minute. */
    set(options, "quota", "fail");
    mde_client_new(options, &client, NULL);
    cancel = mde_cancel_new(60000);
    CHECK(options != NULL && client != NULL && cancel != NULL, "the handles could not be made");
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < ROWS; i++) {
            puts(TABLE[i].function);
        }
        return 0;
    }
    prepare();
    for (int i = 0; i < ROWS; i++) {
        const struct row *row = &TABLE[i];
        try_null(row, NOWHERE, row->when_valid);
        for (int at = 0; at < MAX_ARGUMENTS && row->arguments[at].name != NULL; at++) {
            try_null(row, at, row->arguments[at].when_null);
        }
    }
    mde_cancel_free(cancel);
    mde_client_free(client);
    mde_options_free(options);
    return finish();
}
