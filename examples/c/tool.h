/*
 * tool.h: what command line programs around mde.h have in common: settings, text on a terminal, Ctrl-C.
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

/* What the command line and the environment say. The strings belong to them, not to us. */
struct settings {
    /* The program's own part, filled in by main(). */
    const char *program;
    const char *usage;
    /* Where to put a package, unless --out says it; NULL in a program that has no --out. */
    const char *out;

    const char *tenant;
    const char *client;
    const char *secret_file;
    const char *cloud;
    const char *machine;
    const char *comment;
    const char *log;
    const char *options[MAX_OPTIONS];
    size_t option_count;
    int json;
};

/* The part of --help that is the same for all programs. */
#define USAGE_OF_SETTINGS                                                                                   \
    "  --tenant ID            the Entra tenant; or MDE_TENANT_ID in the environment\n"                      \
    "  --client ID            the application (client) id; or MDE_CLIENT_ID\n"                              \
    "  --secret-file FILE     read the application's secret from this file instead of MDE_CLIENT_SECRET\n"  \
    "  --cloud NAME           the cloud of the tenant, for example eu or gcc_high; or MDE_CLOUD\n"          \
    "  --machine ID           the device id or computer name; or MDE_MACHINE_ID\n"                          \
    "  --comment TEXT         why, for the audit trail of the tenant; or MDE_COMMENT\n"                     \
    "  --option NAME=VALUE    any other option of the library (docs/options.md), for example\n"             \
    "                         timeout_ms=60000, ca_file=ca.pem or proxy=none; may be repeated\n"            \
    "  --json                 print the library's JSON document instead, on failure as well\n"              \
    "  --log LEVEL            error, warn, info or debug: write log lines to stderr\n"                      \
    "  --version              print the version of the library\n"                                           \
    "  --help                 print this\n"                                                                 \
    "\n"                                                                                                    \
    "There is no option that takes the secret itself: other users of the machine can read command lines,\n" \
    "and shells keep them in files. A file with tight permissions is best, the environment second.\n"

/* A variable in UTF-8. Empty ones count as not set, as in most tools. */
const char *from_environment(const char *name);

/* Reads the environment and the command line, and starts logging. Returns an exit code, or -1 to go on. */
int settings_read(struct settings *s, int argc, char **argv);

/* Makes the client they describe. Returns an exit code, or -1 to go on. */
int settings_client(const struct settings *s, mde_client **client);

/* ---- documents and text ----------------------------------------------------------------------- */

/* One value of a document, to be freed with mde_string_free(); NULL when the document does not have it. */
char *json_text(const char *json, const char *pointer);

/* One number of a document, which is never negative here; `otherwise` when the document does not have it. */
uint64_t json_number(const char *json, const char *pointer, uint64_t otherwise);

/* Whether the value at `pointer` is the JSON value true. */
int json_is_true(const char *json, const char *pointer);

/* Text from elsewhere goes to a terminal: control characters could rewrite what it shows. */
void print_safely(FILE *out, const char *text);

/* Prints one value of a document behind a label; nothing when the document does not have it. */
void print_value(FILE *out, const char *label, const char *json, const char *pointer);

/* Says what went wrong. `json` is the failure document; NULL if there is none. Returns the exit code. */
int report(const struct settings *s, const char *doing, int32_t status, const char *json);

/* ---- Ctrl-C ----------------------------------------------------------------------------------- */

/* From here on SIGINT and SIGTERM, on Windows Ctrl-C and Ctrl-Break, trigger `cancel`. Before any other thread is started: all must inherit the
 * signal mask. Returns 0, or -1 when the system refuses. */
int interrupts_start(const mde_cancel *cancel);

/* From here on they end the program again. */
void interrupts_stop(void);

#endif
