#include "support.h"

#include <stdarg.h>

/* Only the main thread of a test checks; other threads hand it their results when they are joined. */
static int failed;

void check(int holds, const char *file, int line, const char *condition, const char *format, ...) {
    if (holds) {
        return;
    }
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failed++;
    fprintf(stdout, "FAILED %s:%d: %s\n    %s\n", file, line, condition, text);
    fflush(stdout);
}

int failures(void) {
    return failed;
}

int finish(void) {
    printf("%s\n", failed == 0 ? "all checks passed" : "some checks failed");
    return failed == 0 ? 0 : 1;
}

const char *required(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        printf("FAILED: the environment variable %s is not set; run this through cargo test\n", name);
        exit(1);
    }
    return value;
}

char *value_at(const char *json, const char *pointer) {
    char *value = NULL;
    if (json != NULL) {
        mde_json_get(json, pointer, &value);
    }
    return value;
}

int value_is(const char *json, const char *pointer, const char *expected) {
    char *value = value_at(json, pointer);
    int same = value != NULL && strcmp(value, expected) == 0;
    mde_string_free(value);
    return same;
}

void expect_error(const char *what, int32_t status, char *json, int32_t expected, const char *part) {
    char number[16];
    const char *shown = json != NULL ? json : "no document";
    char *message = value_at(json, "/error/message");
    snprintf(number, sizeof number, "%d", (int)expected);
    CHECK(status == expected, "%s: status %d, not %d; %s", what, (int)status, (int)expected, shown);
    CHECK(value_is(json, "/error/status", number), "%s: %s", what, shown);
    CHECK(value_is(json, "/error/name", mde_status_name(expected)), "%s: %s", what, shown);
    CHECK(value_is(json, "/error/retryable", "true") || value_is(json, "/error/retryable", "false"),
          "%s: %s", what, shown);
    CHECK(message != NULL && strstr(message, part) != NULL, "%s: no `%s` in the message of %s", what,
          part, shown);
    mde_string_free(message);
    mde_string_free(json);
}

void expect_ok(const char *what, int32_t status, char *json) {
    CHECK(status == MDE_OK, "%s: status %d, %s", what, (int)status, json != NULL ? json : "no document");
    CHECK(json != NULL, "%s: no document", what);
    mde_string_free(json);
}

void set(mde_options *options, const char *name, const char *value) {
    char *json = NULL;
    int32_t status = mde_options_set(options, name, value, &json);
    CHECK(status == MDE_OK, "option %s: %s", name, json != NULL ? json : "no document");
    mde_string_free(json);
}

char *repeated(char byte, size_t length) {
    char *text = malloc(length + 1);
    if (text == NULL) {
        printf("FAILED: no memory for %lu bytes\n", (unsigned long)length);
        exit(1);
    }
    memset(text, byte, length);
    text[length] = '\0';
    return text;
}
