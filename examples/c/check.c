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

#include <string.h>
#include <unistd.h>

#include "tool.h"

static const char USAGE[] =
    "usage: check --tenant ID --client ID [...]\n"
    "\n"
    "Signs in, says for whom the token is and what it permits, reaches the sign-in host and the service, and\n"
    "compares the clocks. It changes nothing, and reads one device. The first line that is red says what to do.\n"
    "\n" USAGE_OF_SETTINGS
    "\n"
    "Exit codes: 0 all is well; 1 a step has failed, or it was cancelled; 2 the command line is wrong;\n"
    "3 a step has failed, but may succeed when tried again later.\n";

enum { MAX_POINTER = 96 };

/* Whether lines may have colours. */
static int has_colours;

/* ---- values of the document ------------------------------------------------------------------- */

/* The value at `place` and `member` below it. Free it with mde_string_free(). NULL if there is none. */
static char *member(const char *json, const char *place, const char *name) {
    char pointer[MAX_POINTER];
    snprintf(pointer, sizeof pointer, "%s/%s", place, name);
    return json_text(json, pointer);
}

/* Prints text around that value. Prints nothing if there is none. */
static void print_member(const char *before, const char *json, const char *place, const char *name, const char *after) {
    char *value = member(json, place, name);
    if (value != NULL) {
        fputs(before, stdout);
        print_safely(stdout, value);
        fputs(after, stdout);
    }
    mde_string_free(value);
}

/* Prints the texts of an array with commas between them. */
static void print_list(const char *json, const char *place, const char *name) {
    char pointer[MAX_POINTER];
    for (int i = 0;; i++) {
        snprintf(pointer, sizeof pointer, "%s/%s/%d", place, name, i);
        char *value = json_text(json, pointer);
        if (value == NULL) {
            return;
        }
        fputs(i > 0 ? ", " : "", stdout);
        print_safely(stdout, value);
        mde_string_free(value);
    }
}

/* ---- the table -------------------------------------------------------------------------------- */

/* The space below the names and results of steps. */
#define INDENT "                       "

/* Why a host is reached through a proxy or without one. */
static void print_proxy(const char *json, const char *host) {
    char place[MAX_POINTER];
    snprintf(place, sizeof place, "%s/proxy", host);
    char *because = member(json, place, "because");
    char *address = member(json, place, "address");
    fputs(address != NULL ? ", proxy " : ", no proxy", stdout);
    print_safely(stdout, address != NULL ? address : "");
    if (because != NULL && strcmp(because, "loopback") == 0) {
        fputs(" (this machine)", stdout);
    } else {
        print_member(" (", json, place, "set_by", ")");
    }
    mde_string_free(address);
    mde_string_free(because);
}

static void print_host(const char *json, const char *host) {
    char place[MAX_POINTER];
    char *name = member(json, host, "host");
    if (name == NULL) {
        return;
    }
    fputs(INDENT, stdout);
    print_safely(stdout, name);
    print_member(":", json, host, "port", "");
    print_proxy(json, host);
    print_member(", ", json, host, "tls", "");
    putchar('\n');
    print_member(INDENT "certificate of ", json, host, "issuer", "\n");
    for (int i = 0;; i++) {
        snprintf(place, sizeof place, "%s/addresses/%d", host, i);
        char *address = member(json, place, "address");
        if (address == NULL) {
            break;
        }
        fputs(INDENT, stdout);
        print_safely(stdout, address);
        snprintf(place, sizeof place, "%s/addresses/%d/used", host, i);
        puts(json_is_true(json, place) ? ": used" : ": not used");
        mde_string_free(address);
    }
    static const char *const phases[] = {"lookup", "connect", "tunnel", "tls", "first_byte"};
    snprintf(place, sizeof place, "%s/ms", host);
    fputs(INDENT "milliseconds:", stdout);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        char before[24];
        snprintf(before, sizeof before, " %s ", phases[i]);
        print_member(before, json, place, phases[i], "");
    }
    putchar('\n');
    mde_string_free(name);
}

static void print_identity(const char *json) {
    static const char place[] = "/access/identity";
    char *kind = member(json, place, "kind");
    if (kind == NULL) {
        return;
    }
    fputs(INDENT, stdout);
    print_safely(stdout, kind);
    print_member(" ", json, place, "user", "");
    print_member(strcmp(kind, "user") == 0 ? " of application " : " ", json, place, "application", "");
    print_member(", tenant ", json, place, "tenant", "");
    print_member(", object ", json, place, "object", "");
    print_member(", until ", json, place, "expires_at", "");
    fputs("\n" INDENT "permissions: ", stdout);
    print_list(json, place, "permissions");
    putchar('\n');
    mde_string_free(kind);
}

static void print_clocks(const char *json) {
    print_member(INDENT "seconds ahead of the sign-in host: ", json, "/access/sign_in_host", "clock_ahead_s", "\n");
    print_member(INDENT "seconds ahead of the service: ", json, "/access/api_host", "clock_ahead_s", "\n");
}

/* What the check has found besides the result of a step. */
static void print_details(const char *step, const char *json) {
    if (strcmp(step, "sign_in") == 0) {
        print_identity(json);
    } else if (strcmp(step, "sign_in_host") == 0) {
        print_host(json, "/access/sign_in_host");
    } else if (strcmp(step, "api_host") == 0) {
        print_host(json, "/access/api_host");
    } else if (strcmp(step, "clock") == 0) {
        print_clocks(json);
    }
}

static void print_steps(const char *json) {
    for (int i = 0;; i++) {
        char place[MAX_POINTER];
        snprintf(place, sizeof place, "/access/steps/%d", i);
        char *step = member(json, place, "step");
        char *result = member(json, place, "result");
        if (step == NULL || result == NULL) {
            mde_string_free(result);
            mde_string_free(step);
            return;
        }
        int has_failed = strcmp(result, "failed") == 0;
        fputs(has_failed && has_colours ? "\033[31m" : "", stdout);
        printf("%-13.13s %-8.8s ", step, has_failed ? "FAILED" : result);
        print_member("", json, place, "error/message", "");
        fputs(has_failed && has_colours ? "\033[0m\n" : "\n", stdout);
        print_details(step, json);
        mde_string_free(result);
        mde_string_free(step);
    }
}

static void print_functions(const char *json) {
    for (int i = 0;; i++) {
        char place[MAX_POINTER];
        snprintf(place, sizeof place, "/access/functions/%d", i);
        char *function = member(json, place, "function");
        char *allowed = member(json, place, "allowed");
        if (function == NULL || allowed == NULL) {
            mde_string_free(allowed);
            mde_string_free(function);
            return;
        }
        fputs(i == 0 ? "\nwhat the permissions allow\n" : "", stdout);
        printf("%-22s ", function);
        if (strcmp(allowed, "true") == 0) {
            fputs("yes", stdout);
        } else {
            fputs("no: lacks ", stdout);
            print_list(json, place, "lacks");
        }
        putchar('\n');
        mde_string_free(allowed);
        mde_string_free(function);
    }
}

/* ---- the check -------------------------------------------------------------------------------- */

/* The exit code for the first step that has failed. */
static int code_of(const char *json) {
    if (json_is_true(json, "/access/ok")) {
        return EXIT_DONE;
    }
    for (int i = 0;; i++) {
        char place[MAX_POINTER];
        snprintf(place, sizeof place, "/access/steps/%d", i);
        char *result = member(json, place, "result");
        int has_failed = result != NULL && strcmp(result, "failed") == 0;
        int is_last = result == NULL;
        mde_string_free(result);
        if (has_failed) {
            snprintf(place, sizeof place, "/access/steps/%d/error/retryable", i);
            return json_is_true(json, place) ? EXIT_LATER : EXIT_FAILED;
        }
        if (is_last) {
            return EXIT_FAILED;
        }
    }
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
