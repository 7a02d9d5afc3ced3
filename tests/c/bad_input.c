/* Strings that no function may accept, for every string argument, and the error messages. */
#include "support.h"

enum { MEGABYTE = 1024 * 1024, DEPTH = 100000 };

static const char MACHINE[] = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
static const char ACTION[] = "5382f7ea-7557-4ab7-9782-d50480024a4e";

/* Nothing listens where it would call: input that is refused never gets that far. */
static mde_client *client;

/* What the token callback hands over, and what mde_token_set() said to it. */
static const char *token_to_give;
static int32_t token_set_status;

static int32_t give_token(void *user_data, const char *scope, mde_token_sink *sink) {
    (void)user_data;
    (void)scope;
    token_set_status = mde_token_set(sink, token_to_give, 60);
    return token_set_status;
}

/* ---- one string argument each: a call with `text` there, and valid values elsewhere ------------- */

static int32_t json_get_json(const char *text, char **json) {
    char *value = NULL;
    (void)json;
    int32_t status = mde_json_get(text, "", &value);
    mde_string_free(value);
    return status;
}

static int32_t json_get_pointer(const char *text, char **json) {
    char *value = NULL;
    (void)json;
    int32_t status = mde_json_get("{\"a\":1}", text, &value);
    mde_string_free(value);
    return status;
}

static int32_t option_name(const char *text, char **json) {
    mde_options *options = mde_options_new();
    int32_t status = mde_options_set(options, text, "eu", json);
    mde_options_free(options);
    return status;
}

static int32_t option_value(const char *text, char **json) {
    mde_options *options = mde_options_new();
    int32_t status = mde_options_set(options, "cloud", text, json);
    mde_options_free(options);
    return status;
}

static int32_t options_json(const char *text, char **json) {
    mde_options *options = mde_options_new();
    int32_t status = mde_options_set_json(options, text, json);
    mde_options_free(options);
    return status;
}

/* The status of mde_token_set() itself. */
static int32_t token(const char *text, char **json) {
    mde_options *options = mde_options_new();
    mde_client *asking = NULL;
    (void)json;
    token_to_give = text;
    mde_options_set_token_provider(options, give_token, NULL, NULL);
    set(options, "api_url", "http://127.0.0.1:1");
    set(options, "max_retries", "0");
    mde_client_new(options, &asking, NULL);
    mde_get_action(asking, ACTION, NULL, NULL);
    mde_client_free(asking);
    mde_options_free(options);
    return token_set_status;
}

static int32_t machine_id(const char *text, char **json) {
    return mde_collect_package(client, text, "why", NULL, json);
}

static int32_t comment(const char *text, char **json) {
    return mde_collect_package(client, MACHINE, text, NULL, json);
}

static int32_t action_id(const char *text, char **json) {
    return mde_get_action(client, text, NULL, json);
}

static int32_t odata_filter(const char *text, char **json) {
    return mde_list_actions(client, text, NULL, json);
}

static int32_t devices_json(const char *text, char **json) {
    return mde_fetch_packages(client, text, "why", ".", NULL, NULL, NULL, json);
}

static int32_t folder(const char *text, char **json) {
    return mde_fetch_packages(client, "[]", "why", text, NULL, NULL, NULL, json);
}

static int32_t folder_to_read(const char *text, char **json) {
    return mde_read_packages(text, json);
}

enum { SILENT, SPEAKS };

static const struct row {
    const char *what;
    int32_t (*call)(const char *text, char **json);
    int speaks;
    /* How the message names a bad encoding. */
    const char *argument;
    int32_t when_empty;
    int32_t when_huge;
    /* What a message about the other two names. */
    const char *subject;
} TABLE[] = {
    {"mde_json_get json", json_get_json, SILENT, "", MDE_ERR_INVALID_ARGUMENT, MDE_ERR_INVALID_ARGUMENT,
     ""},
    /* "" is the whole document. */
    {"mde_json_get json_pointer", json_get_pointer, SILENT, "", MDE_OK, MDE_ERR_INVALID_ARGUMENT, ""},
    {"mde_options_set name", option_name, SPEAKS, "`name`", MDE_ERR_CONFIG, MDE_ERR_CONFIG,
     "is unknown; expected one of tenant_id, client_id"},
    {"mde_options_set value", option_value, SPEAKS, "`value`", MDE_ERR_CONFIG, MDE_ERR_CONFIG,
     "option `cloud`"},
    {"mde_options_set_json json", options_json, SPEAKS, "`json`", MDE_ERR_INVALID_ARGUMENT,
     MDE_ERR_INVALID_ARGUMENT, "argument `json` is not a JSON object"},
    /* Taken as it is, and judged when the call uses it: see tokens(). */
    {"mde_token_set token", token, SILENT, "", MDE_ERR_INVALID_ARGUMENT, MDE_ERR_INVALID_ARGUMENT, ""},
    {"mde_collect_package machine_id", machine_id, SPEAKS, "`machine_id`", MDE_ERR_INVALID_ARGUMENT,
     MDE_ERR_INVALID_ARGUMENT, "argument `machine_id`"},
    {"mde_collect_package comment", comment, SPEAKS, "`comment`", MDE_ERR_INVALID_ARGUMENT,
     MDE_ERR_INVALID_ARGUMENT, "argument `comment`"},
    {"mde_get_action action_id", action_id, SPEAKS, "`action_id`", MDE_ERR_INVALID_ARGUMENT,
     MDE_ERR_INVALID_ARGUMENT, "argument `action_id`"},
    /* "" is all actions, so the call goes out, to nowhere. */
    {"mde_list_actions odata_filter", odata_filter, SPEAKS, "`odata_filter`", MDE_ERR_CONNECT,
     MDE_ERR_INVALID_ARGUMENT, "argument `odata_filter`"},
    {"mde_fetch_packages devices_json", devices_json, SPEAKS, "`devices_json`", MDE_ERR_INVALID_ARGUMENT,
     MDE_ERR_INVALID_ARGUMENT, "argument `devices_json`"},
    {"mde_fetch_packages folder", folder, SPEAKS, "`folder`", MDE_ERR_INVALID_ARGUMENT, MDE_ERR_FILE, "folder"},
    {"mde_read_packages folder", folder_to_read, SPEAKS, "`folder`", MDE_ERR_INVALID_ARGUMENT, MDE_ERR_FILE,
     "folder"},
};

enum { ROWS = sizeof TABLE / sizeof TABLE[0] };

static void try_text(const struct row *row, const char *kind, const char *text, int32_t expected,
                     const char *part) {
    char what[160];
    char *json = NULL;
    snprintf(what, sizeof what, "%s, %s", row->what, kind);
    int32_t status = row->call(text, row->speaks == SPEAKS ? &json : NULL);
    if (row->speaks == SILENT) {
        CHECK(status == expected, "%s: status %d, not %d", what, (int)status, (int)expected);
    } else {
        expect_error(what, status, json, expected, part);
    }
}

static void every_argument(void) {
    static const char *const not_utf8[] = {
        "\x80",               /* a continuation byte alone */
        "ok so far \xff",     /* never in UTF-8 */
        "\xc0\xaf",           /* an overlong slash */
        "\xed\xa0\x80",       /* half of a surrogate pair */
        "\xf4\x90\x80\x80",   /* above U+10FFFF */
        "cut short \xe2\x82", /* the end is missing */
        "{\"cloud\":\"\xe9\"}" /* Latin-1 inside JSON */
    };
    char *huge = repeated('a', MEGABYTE);
    for (int i = 0; i < ROWS; i++) {
        const struct row *row = &TABLE[i];
        for (size_t n = 0; n < sizeof not_utf8 / sizeof not_utf8[0]; n++) {
            char part[64];
            snprintf(part, sizeof part, "argument %s is not UTF-8", row->argument);
            try_text(row, "not UTF-8", not_utf8[n], MDE_ERR_UTF8, part);
        }
        int goes_out = row->when_empty == MDE_ERR_CONNECT;
        try_text(row, "empty", "", row->when_empty, goes_out ? "127.0.0.1" : row->subject);
        try_text(row, "1 MiB", huge, row->when_huge, row->subject);
    }
    free(huge);
}

/* Ids go into the path of a URL: none may leave its place there. */
static void ids(void) {
    static const char *const bad[] = {"a/b",  "a?b",   "..",    "../x", "a..b", ".",       "a\nb",
                                      "a\rb", "a b",   "a%2fb", "a#b",  "a\\b", "a\xc3\xa9", "a;b",
                                      "a\tb", "a\x7f", "'a'",   "a&b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *json = NULL;
        int32_t status = machine_id(bad[i], &json);
        expect_error(bad[i], status, json, MDE_ERR_INVALID_ARGUMENT, "40 hexadecimal digits");
        json = NULL;
        status = action_id(bad[i], &json);
        expect_error(bad[i], status, json, MDE_ERR_INVALID_ARGUMENT, "for example 5382f7ea-");
    }
    char *json = NULL;
    int32_t status = comment(" \t\n ", &json);
    expect_error("a blank comment", status, json, MDE_ERR_INVALID_ARGUMENT, "argument `comment`");

    /* The longest that are accepted, and one more. */
    char *edge = repeated('c', 32769);
    status = comment(edge, &json);
    expect_error("a comment of 32,769", status, json, MDE_ERR_INVALID_ARGUMENT, "1 to 32768 bytes");
    edge[32768] = '\0';
    status = comment(edge, &json);
    expect_error("a comment of 32,768", status, json, MDE_ERR_CONNECT, "");
    edge[8193] = '\0';
    status = odata_filter(edge, &json);
    expect_error("a filter of 8,193", status, json, MDE_ERR_INVALID_ARGUMENT, "up to 8192 bytes");
    edge[8192] = '\0';
    status = odata_filter(edge, &json);
    expect_error("a filter of 8,192", status, json, MDE_ERR_CONNECT, "");
    free(edge);
}

/* Every option: empty, far too long, and with line breaks. The list comes from the library itself. */
static void every_option(void) {
    mde_options *options = mde_options_new();
    char *json = NULL;
    char *huge = repeated('a', MEGABYTE);
    mde_options_set(options, "no such option", "x", &json);
    char *message = value_at(json, "/error/message");
    CHECK(message != NULL && strstr(message, "expected one of ") != NULL, "%s", json);
    mde_string_free(json);
    int count = 0;
    char *list = message != NULL ? strstr(message, "expected one of ") : NULL;
    char *name = list != NULL ? strtok(list + strlen("expected one of "), ", ") : NULL;
    for (; name != NULL; name = strtok(NULL, ", ")) {
        char part[80];
        count++;
        snprintf(part, sizeof part, "option `%s`", name);
        int32_t status = mde_options_set(options, name, huge, &json);
        expect_error(name, status, json, MDE_ERR_CONFIG, part);
        /* Lists of exceptions may be empty, and so may a password. */
        if (strcmp(name, "no_proxy") != 0 && strcmp(name, "quota_limits") != 0 &&
            strcmp(name, "certificate_password") != 0) {
            status = mde_options_set(options, name, "", &json);
            expect_error(name, status, json, MDE_ERR_CONFIG, part);
        }
    }
    CHECK(count >= 20, "only %d options in: %s", count, message);
    mde_string_free(message);
    free(huge);
    mde_options_free(options);
}

static void option_values(void) {
    static const struct {
        const char *name;
        const char *value;
        const char *part;
    } bad[] = {
        {"api_url", "http://api.security.microsoft.com", "unencrypted"},
        {"login_url", "http://login.microsoftonline.com", "unencrypted"},
        {"api_url", "http://127.0.0.1.example", "unencrypted"},
        {"api_url", "http://10.0.0.1", "unencrypted"},
        {"api_url", "https://host?x=1", "has a query"},
        {"api_url", "https://user:canary@host", "has a login"},
        {"api_url", "https://host#fragment", "has a fragment"},
        {"api_url", "ftp://host", "https"},
        {"api_url", "host", "has no scheme"},
        {"api_url", "https://host/a/../b", "relative"},
        {"api_url", "https://host\r\nX: y", "is not a URL"},
        {"tenant_id", "a/b", "the tenant's GUID"},
        {"tenant_id", "..", "the tenant's GUID"},
        {"client_id", "a b", "the application's id"},
        {"cloud", "mars", "commercial, us, eu"},
        {"auth", "password", "client_secret"},
        {"timeout_ms", "-1", "0 to 86400000"},
        {"timeout_ms", "1.5", "0 to 86400000"},
        {"timeout_ms", "86400001", "0 to 86400000"},
        {"timeout_ms", "99999999999999999999", "0 to 86400000"},
        {"connect_timeout_ms", "0", "1 to 86400000"},
        {"max_retries", "21", "0 to 20"},
        {"quota_share", "0", "1 to 100"},
        {"quota_share", "101", "1 to 100"},
        {"quota", "maybe", "wait or fail"},
        {"on_duplicate", "maybe", "adopt or error"},
        {"on_unknown", "retry", "resend or report"},
        {"quota_limits", "collect=0/60", "quota_limits"},
        {"quota_limits", "nothing=1/60", "quota_limits"},
        {"user_agent", "a\r\nX: y", "visible ASCII"},
        {"scope", "a b", "visible ASCII"},
        {"proxy", "not a proxy", "proxy"},
    };
    mde_options *options = mde_options_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char part[80];
        char what[160];
        char *json = NULL;
        snprintf(part, sizeof part, "option `%s`", bad[i].name);
        snprintf(what, sizeof what, "%s=%s", bad[i].name, bad[i].value);
        int32_t status = mde_options_set(options, bad[i].name, bad[i].value, &json);
        CHECK(json != NULL && strstr(json, bad[i].part) != NULL, "%s: no `%s` in %s", what, bad[i].part,
              json != NULL ? json : "no document");
        CHECK(json == NULL || strstr(json, "canary") == NULL, "%s repeats a secret: %s", what, json);
        expect_error(what, status, json, MDE_ERR_CONFIG, part);
    }
    mde_options_free(options);
}

/* Refused by name, with nothing of the object applied. */
static void option_documents(void) {
    static const struct {
        const char *json;
        int32_t status;
        const char *part;
    } bad[] = {
        {"", MDE_ERR_INVALID_ARGUMENT, "is not a JSON object"},
        {"{", MDE_ERR_INVALID_ARGUMENT, "is not a JSON object"},
        {"[]", MDE_ERR_INVALID_ARGUMENT, "is not a JSON object"},
        {"null", MDE_ERR_INVALID_ARGUMENT, "is not a JSON object"},
        {"cloud=eu", MDE_ERR_INVALID_ARGUMENT, "is not a JSON object"},
        {"{\"cloud\":\"eu\"} x", MDE_ERR_INVALID_ARGUMENT, "is not a JSON object"},
        {"{\"cloud\":5}", MDE_ERR_CONFIG, "option `cloud` has a JSON value of the wrong type"},
        {"{\"cloud\":null}", MDE_ERR_CONFIG, "option `cloud`"},
        {"{\"cloud\":[\"eu\"]}", MDE_ERR_CONFIG, "option `cloud`"},
        {"{\"timeout_ms\":true}", MDE_ERR_CONFIG, "option `timeout_ms`"},
        {"{\"timeout_ms\":1.5}", MDE_ERR_CONFIG, "option `timeout_ms`"},
        {"{\"timeout_ms\":-1}", MDE_ERR_CONFIG, "option `timeout_ms`"},
        {"{\"nonsense\":\"x\"}", MDE_ERR_CONFIG, "option `nonsense` is unknown"},
        {"{\"access_token\":\"canary\",\"max_retries\":99}", MDE_ERR_CONFIG, "option `max_retries`"},
    };
    mde_options *options = mde_options_new();
    char *json = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int32_t status = mde_options_set_json(options, bad[i].json, &json);
        CHECK(json == NULL || strstr(json, "canary") == NULL, "repeats a secret: %s", json);
        expect_error(bad[i].json, status, json, bad[i].status, bad[i].part);
    }
    mde_client *none = NULL;
    int32_t status = mde_client_new(options, &none, &json);
    expect_error("nothing was applied", status, json, MDE_ERR_CONFIG, "no way to sign in is set");
    CHECK(none == NULL, "a client was made");
    mde_options_free(options);
}

/* Nesting far beyond any stack. */
static void deep_json(void) {
    char *deep = repeated('[', 2 * DEPTH);
    char *json = NULL;
    char *value = NULL;
    mde_options *options = mde_options_new();
    memset(deep + DEPTH, ']', DEPTH);
    int32_t status = mde_options_set_json(options, deep, &json);
    expect_error("deep options", status, json, MDE_ERR_INVALID_ARGUMENT, "argument `json`");
    status = mde_json_get(deep, "/0/0", &value);
    CHECK(status == MDE_OK && value != NULL && strlen(value) == 2 * DEPTH - 4, "%d", (int)status);
    mde_string_free(value);
    deep[2 * DEPTH - 1] = '\0';
    status = mde_json_get(deep, "/0", &value);
    CHECK(status == MDE_ERR_INVALID_ARGUMENT && value == NULL, "unclosed: %d", (int)status);

    char *object = malloc(2 * DEPTH + 32);
    if (object != NULL) {
        deep[2 * DEPTH - 1] = ']';
        sprintf(object, "{\"cloud\":%s}", deep);
        status = mde_options_set_json(options, object, &json);
        CHECK(status == MDE_ERR_INVALID_ARGUMENT || status == MDE_ERR_CONFIG, "%d", (int)status);
        mde_string_free(json);
    }
    free(object);
    free(deep);
    mde_options_free(options);
}

static void json_get(void) {
    static const struct {
        const char *json;
        const char *pointer;
        int32_t status;
        const char *value;
    } cases[] = {
        {"{\"a\":\"x\\n\\u00e9\"}", "/a", MDE_OK, "x\n\xc3\xa9"},
        {"{\"a\":null}", "/a", MDE_OK, NULL},
        {"{\"a/b\":{\"~\":[1.50]}}", "/a~1b/~0/0", MDE_OK, "1.50"},
        {"{\"a\":[1,2]}", "/a", MDE_OK, "[1,2]"},
        {"{\"\":7}", "/", MDE_OK, "7"},
        {"{}", "/a", MDE_ERR_NOT_FOUND, NULL},
        {"[1]", "/1", MDE_ERR_NOT_FOUND, NULL},
        {"[1]", "/00", MDE_ERR_NOT_FOUND, NULL},
        {"[1]", "/99999999999999999999999", MDE_ERR_NOT_FOUND, NULL},
        {"\"text\"", "/a", MDE_ERR_NOT_FOUND, NULL},
        {"{", "", MDE_ERR_INVALID_ARGUMENT, NULL},
        {"{} {}", "", MDE_ERR_INVALID_ARGUMENT, NULL},
        {"'a'", "", MDE_ERR_INVALID_ARGUMENT, NULL},
        {"{\"a\":1}", "a", MDE_ERR_INVALID_ARGUMENT, NULL},
        {"\"\\u0000\"", "", MDE_ERR_INVALID_ARGUMENT, NULL},
        {"\"\\ud800\"", "", MDE_ERR_INVALID_ARGUMENT, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char garbage;
        char *value = &garbage;
        int32_t status = mde_json_get(cases[i].json, cases[i].pointer, &value);
        CHECK(status == cases[i].status, "%s at `%s`: %d", cases[i].json, cases[i].pointer, (int)status);
        CHECK(value != &garbage, "%s: *out_value was left as it was", cases[i].json);
        if (value == &garbage) {
            continue;
        }
        int same = value == NULL || cases[i].value == NULL ? value == cases[i].value
                                                           : strcmp(value, cases[i].value) == 0;
        CHECK(same, "%s at `%s`: `%s`", cases[i].json, cases[i].pointer, value != NULL ? value : "NULL");
        mde_string_free(value);
    }
}

/* Tokens that no header may carry are refused where they are handed over, and fail the call. */
static void tokens(void) {
    char *huge = repeated('t', MEGABYTE);
    const char *const bad[] = {"", "two words", "line\r\nX-Injected: yes", "t\xc3\xb6ken", huge};
    mde_options *options = mde_options_new();
    mde_client *asking = NULL;
    mde_options_set_token_provider(options, give_token, NULL, NULL);
    set(options, "api_url", "http://127.0.0.1:1");
    CHECK(mde_client_new(options, &asking, NULL) == MDE_OK, "no client");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *json = NULL;
        token_to_give = bad[i];
        int32_t status = mde_get_action(asking, ACTION, NULL, &json);
        expect_error("an unusable token", status, json, MDE_ERR_TOKEN, "the callback returned 3");
    }
    mde_client_free(asking);
    mde_options_free(options);
    free(huge);
}

static void log_levels(void) {
    CHECK(mde_log_set(NULL, NULL, NULL, 5) == MDE_ERR_INVALID_ARGUMENT, "level 5 was accepted");
    CHECK(mde_log_set(NULL, NULL, NULL, -1) == MDE_ERR_INVALID_ARGUMENT, "level -1 was accepted");
    CHECK(strcmp(mde_status_name(-1), "unknown") == 0, "%s", mde_status_name(-1));
    CHECK(strcmp(mde_status_name(INT32_MAX), "unknown") == 0, "%s", mde_status_name(INT32_MAX));
}

int main(void) {
    mde_options *options = mde_options_new();
    set(options, "access_token", "token");
    set(options, "api_url", "http://127.0.0.1:1");
    set(options, "max_retries", "0");
    CHECK(mde_client_new(options, &client, NULL) == MDE_OK, "no client");
    mde_options_free(options);

    every_argument();
    ids();
    every_option();
    option_values();
    option_documents();
    deep_json();
    json_get();
    tokens();
    log_levels();

    mde_client_free(client);
    return finish();
}
