/*
 * tool.h: code that command line programs around mde.h share: settings, text on a terminal, Ctrl-C.
 */
#ifndef TOOL_H
#define TOOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mde.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LATER = 3 };

enum { MAX_OPTIONS = 32 };

/* ---- settings --------------------------------------------------------------------------------- */

/* The settings from the command line and the environment, which own the strings. */
struct settings {
    /* main() fills in these. */
    const char *program;
    const char *usage;
    /* The destination of a package unless --out is given. NULL in a program that has no --out. */
    const char *out;
    /* Not 0 in a program for many devices, which has --list in place of --machine. */
    int many;
    /* Not 0 in a program that needs neither a device nor a reason. */
    int bare;

    const char *tenant;
    const char *client;
    const char *secret_file;
    const char *cloud;
    const char *machine;
    const char *list;
    const char *comment;
    const char *log;
    const char *options[MAX_OPTIONS];
    size_t option_count;
    int json;
};

#define USAGE_OF_MACHINE                                                                                    \
    "  --machine ID           the device id or computer name; or MDE_MACHINE_ID\n"

#define USAGE_OF_COMMENT                                                                                    \
    "  --comment TEXT         why, for the audit trail of the tenant; or MDE_COMMENT\n"

/* The part of --help that is the same for all programs. */
#define USAGE_OF_SETTINGS                                                                                   \
    "  --tenant ID            the Entra tenant; or MDE_TENANT_ID in the environment\n"                      \
    "  --client ID            the application (client) id; or MDE_CLIENT_ID\n"                              \
    "  --secret-file FILE     read the application's secret from this file instead of MDE_CLIENT_SECRET\n"  \
    "  --cloud NAME           the cloud of the tenant, for example eu or gcc_high; or MDE_CLOUD\n"          \
    "  --option NAME=VALUE    any other option of the library (docs/options.md), for example\n"             \
    "                         timeout_ms=60000, ca_file=ca.pem or proxy=none; may be repeated\n"            \
    "  --json                 print the library's JSON document instead, on failure as well\n"              \
    "  --log LEVEL            error, warn, info or debug: write log lines to stderr\n"                      \
    "  --version              print the version of the library\n"                                           \
    "  --help                 print this\n"                                                                 \
    "\n"                                                                                                    \
    "There is no option that takes the secret itself: other users of the machine can read command lines,\n" \
    "and shells keep them in files. A file with tight permissions is best, the environment second.\n"       \
    "Other secrets come from the environment alone: MDE_CERTIFICATE_PASSWORD, MDE_ACCESS_TOKEN, and\n"      \
    "MDE_PROXY for a proxy with a login.\n"

/* A variable in UTF-8. An empty one counts as not set, as in most tools. */
const char *from_environment(const char *name);

/* Reads the environment and the command line, and starts logging. Returns an exit code, or -1 on success. */
int settings_read(struct settings *s, int argc, char **argv);

/* Makes a client with these settings. Returns an exit code, or -1 on success. */
int settings_client(const struct settings *s, mde_client **client);

/* Opens a file whose name is in UTF-8. NULL if that fails. */
FILE *open_to_read(const char *path);

/* ---- documents and text ----------------------------------------------------------------------- */

/* Reads one value of a document. Free it with mde_string_free(). NULL if the document does not have it. */
char *json_text(const char *json, const char *pointer);

/* Reads one number of a document; none is negative. Returns `otherwise` if the document does not have it. */
uint64_t json_number(const char *json, const char *pointer, uint64_t otherwise);

/* Whether the value at `pointer` is the JSON value true. */
int json_is_true(const char *json, const char *pointer);

/* A size as people read it, such as `7.3 MB`. Returns `text`. */
const char *size_text(char *text, size_t size, uint64_t bytes);

/* Prints text without control characters, which could rewrite what a terminal shows. */
void print_safely(FILE *out, const char *text);

/* Prints one value of a document after a label. Prints nothing if the document does not have it. */
void print_value(FILE *out, const char *label, const char *json, const char *pointer);

/* Prints the error. `json` is the failure document, or NULL if there is none. Returns the exit code. */
int report(const struct settings *s, const char *doing, int32_t status, const char *json);

/* ---- Ctrl-C ----------------------------------------------------------------------------------- */

/*
 * Lets SIGINT and SIGTERM, on Windows Ctrl-C and Ctrl-Break, trigger `cancel`. Call it before any other
 * thread is started, since all threads must inherit the signal mask. Returns 0, or -1 if the system refuses.
 */
int interrupts_start(const mde_cancel *cancel);

/* Lets them end the program again. */
void interrupts_stop(void);

#endif
