/*
 * check: says whether an application can work with Microsoft Defender for Endpoint, and if not, why.
 *
 * The first program to run where a product is set up: a small but complete one around mde_check_access(), in
 * plain C99 for POSIX and Windows. It prints a line for each step, and the first red one says what to do. It
 * changes nothing. tool.c has the code that it shares with fetch.c.
 *
 *     cc -std=c99 check.c tool.c -lmde -pthread -o check
 */
#define _POSIX_C_SOURCE 200809L

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const char USAGE[] =
    "usage: check --tenant ID --client ID [...]\n"
    "\n"
    "Signs in, says for whom the token is and what it permits, reaches the sign-in host and the service, and\n"
    "compares the clocks. It changes nothing, and reads one device. The first line that is red says what to do.\n"
    "The step permissions fails if any function is not allowed: see the table below it for those that you call.\n"
    "\n" USAGE_OF_SETTINGS
    "\n"
    "Exit codes: 0 all is well; 1 a step has failed, or it was cancelled; 2 the command line is wrong;\n"
    "3 a step has failed, but may succeed when tried again later.\n";

enum { MAX_POINTER = 96, MAX_STEPS = 100 };

/* Whether lines may have colours. */
static int has_colours;

/* ---- values of the document ------------------------------------------------------------------- */

/* The value at a JSON pointer, which is written as for printf(). Free it with mde_string_free(). NULL if there is none. */
static char *value_at(const char *json, const char *format, ...) {
    char pointer[MAX_POINTER];
    va_list parts;
    va_start(parts, format);
    vsnprintf(pointer, sizeof pointer, format, parts);
    va_end(parts);
    return json_text(json, pointer);
}

/* Prints a value, which it frees, with text around it. Prints nothing if there is none. */
static void print_between(const char *before, char *value, const char *after) {
    if (value != NULL) {
        fputs(before, stdout);
        print_safely(stdout, value);
        fputs(after, stdout);
    }
    mde_string_free(value);
}

/* Whether a value, which it frees, is this text. */
static int is(char *value, const char *text) {
    int same = value != NULL && strcmp(value, text) == 0;
    mde_string_free(value);
    return same;
}

/* ---- the table -------------------------------------------------------------------------------- */

/* The space below the names and results of steps. */
#define INDENT "                       "

/* Why a host is reached through a proxy or without one. */
static void print_proxy(const char *json, const char *host) {
    char *address = value_at(json, "/access/%s/proxy/address", host);
    fputs(address != NULL ? ", proxy " : ", no proxy", stdout);
    print_between("", address, "");
    print_between(" (", value_at(json, "/access/%s/proxy/set_by", host), ")");
    if (is(value_at(json, "/access/%s/proxy/because", host), "loopback")) {
        fputs(" (this machine)", stdout);
    }
    if (is(value_at(json, "/access/%s/proxy/because", host), "system")) {
        fputs(" (Windows' setting)", stdout);
    }
}

/* How long each phase took, of those that ended. */
static void print_phases(const char *json, const char *host) {
    static const char *const NAMES[][2] = {
        {"lookup", "lookup"}, {"connect", "connect"}, {"tunnel", "tunnel"}, {"tls", "TLS"}, {"first_byte", "first byte"}};
    const char *before = INDENT "milliseconds: ";
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char *value = value_at(json, "/access/%s/ms/%s", host, NAMES[i][0]);
        if (value != NULL) {
            printf("%s%s", before, NAMES[i][1]);
            print_between(" ", value, "");
            before = ", ";
        }
    }
    fputs(*before == ',' ? "\n" : "", stdout);
}

static void print_host(const char *json, const char *host) {
    char *name = value_at(json, "/access/%s/host", host);
    if (name == NULL) {
        return;
    }
    print_between(INDENT, name, ":");
    print_between("", value_at(json, "/access/%s/port", host), "");
    print_proxy(json, host);
    print_between(", ", value_at(json, "/access/%s/tls", host), "");
    putchar('\n');
    print_between(INDENT "certificate of ", value_at(json, "/access/%s/issuer", host), "\n");
    char *second = value_at(json, "/access/%s/addresses/1/address", host);
    int has_several = second != NULL;
    mde_string_free(second);
    char *address;
    for (int i = 0; (address = value_at(json, "/access/%s/addresses/%d/address", host, i)) != NULL; i++) {
        int is_used = is(value_at(json, "/access/%s/addresses/%d/used", host, i), "true");
        print_between(INDENT, address, is_used ? ": used" : ": not used");
        /* That of a single address is the message of the step. */
        if (has_several) {
            print_between(": ", value_at(json, "/access/%s/addresses/%d/problem", host, i), "");
        }
        putchar('\n');
    }
    print_phases(json, host);
}

static void print_identity(const char *json) {
    char *kind = json_text(json, "/access/identity/kind");
    if (kind == NULL) {
        return;
    }
    print_between(INDENT, kind, "");
    print_between(" ", json_text(json, "/access/identity/user"), ", application");
    print_between(" ", json_text(json, "/access/identity/application"), "");
    print_between(", tenant ", json_text(json, "/access/identity/tenant"), "");
    print_between(", object ", json_text(json, "/access/identity/object"), "");
    print_between(", until ", json_text(json, "/access/identity/expires_at"), "");
    fputs("\n" INDENT "permissions:", stdout);
    char *permission;
    for (int i = 0; (permission = value_at(json, "/access/identity/permissions/%d", i)) != NULL; i++) {
        print_between(i > 0 ? ", " : " ", permission, "");
    }
    putchar('\n');
}

static void print_clocks(const char *json) {
    print_between(INDENT "seconds ahead of the sign-in host: ", json_text(json, "/access/sign_in_host/clock_ahead_s"), "\n");
    print_between(INDENT "seconds ahead of the service: ", json_text(json, "/access/api_host/clock_ahead_s"), "\n");
}

/* What the check has found besides the result of a step. */
static void print_details(const char *step, const char *json) {
    if (strcmp(step, "sign_in") == 0) {
        print_identity(json);
    } else if (strcmp(step, "clock") == 0) {
        print_clocks(json);
    } else {
        /* Two of the steps have the names of hosts. */
        print_host(json, step);
    }
}

static void print_steps(const char *json) {
    char *step;
    for (int i = 0; (step = value_at(json, "/access/steps/%d/step", i)) != NULL; i++) {
        char *result = value_at(json, "/access/steps/%d/result", i);
        int has_failed = result != NULL && strcmp(result, "failed") == 0;
        fputs(has_failed && has_colours ? "\033[31m" : "", stdout);
        printf("%-13.13s %-8.8s ", step, has_failed || result == NULL ? "FAILED" : result);
        print_between("", value_at(json, "/access/steps/%d/error/message", i), "");
        fputs(has_failed && has_colours ? "\033[0m\n" : "\n", stdout);
        print_details(step, json);
        mde_string_free(result);
        mde_string_free(step);
    }
}

static void print_functions(const char *json) {
    char *function;
    for (int i = 0; (function = value_at(json, "/access/functions/%d/function", i)) != NULL; i++) {
        printf("%s%-22.40s ", i == 0 ? "\nwhat the permissions allow\n" : "", function);
        int is_allowed = is(value_at(json, "/access/functions/%d/allowed", i), "true");
        fputs(is_allowed ? "yes" : "no: lacks", stdout);
        char *lack;
        for (int n = 0; (lack = value_at(json, "/access/functions/%d/lacks/%d", i, n)) != NULL; n++) {
            print_between(n > 0 ? ", " : " ", lack, "");
        }
        putchar('\n');
        mde_string_free(function);
    }
}

/* ---- the check -------------------------------------------------------------------------------- */

/* The exit code for the first step that has failed. */
static int code_of(const char *json) {
    char *retryable = NULL;
    if (json_is_true(json, "/access/ok")) {
        return EXIT_DONE;
    }
    for (int i = 0; retryable == NULL && i < MAX_STEPS; i++) {
        retryable = value_at(json, "/access/steps/%d/error/retryable", i);
    }
    return is(retryable, "true") ? EXIT_LATER : EXIT_FAILED;
}

static int check(const struct settings *s, const mde_client *client) {
    char *json = NULL;
    mde_cancel *cancel = mde_cancel_new(0);
    if (cancel == NULL || interrupts_start(cancel) != 0) {
        fprintf(stderr, "check: cannot prepare for Ctrl-C\n");
        mde_cancel_free(cancel);
        return EXIT_FAILED;
    }
    int32_t status = mde_check_access(client, cancel, &json);
    int code = status == MDE_OK && json != NULL ? code_of(json) : report(s, "checking", status, json);
    /* With --json, programs read stdout, so it gets the document of a failure too. */
    if (s->json && json != NULL) {
        puts(json);
    } else if (status == MDE_OK && json != NULL) {
        print_steps(json);
        print_functions(json);
    }
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        fprintf(stderr, "check: all is well, but stdout cannot be written\n");
        code = EXIT_FAILED;
    }
    /* Only after the output: until then a late Ctrl-C would end the program with the result unprinted. */
    interrupts_stop();
    mde_string_free(json);
    mde_cancel_free(cancel);
    return code;
}

int main(int argc, char **argv) {
    struct settings s = {.program = "check", .usage = USAGE, .bare = 1};
    mde_client *client = NULL;
    int code = settings_read(&s, argc, argv);
    has_colours = isatty(STDOUT_FILENO) && from_environment("NO_COLOR") == NULL;
    if (code < 0) {
        code = settings_client(&s, &client);
    }
    if (code < 0) {
        code = check(&s, client);
    }
    mde_client_free(client);
    return code;
}
