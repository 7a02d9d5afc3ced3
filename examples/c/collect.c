/*
 * collect: asks Microsoft Defender for Endpoint to collect an investigation package from one device.
 *
 * A small but complete program around mde.h: settings, logging, cancelling with Ctrl-C, reading results
 * and errors without a JSON library. Plain C99 with POSIX threads and signals.
 *
 *     cc -std=c99 collect.c -lmde -pthread -o collect
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mde.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LATER = 3 };

#define MAX_OPTIONS 32
#define MAX_SECRET 4096

/* What the command line and the environment say. The strings belong to them, not to us. */
struct settings {
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

static const char USAGE[] =
    "usage: collect --tenant ID --client ID --machine ID --comment TEXT [...]\n"
    "\n"
    "Asks Microsoft Defender for Endpoint to collect an investigation package from a device and prints\n"
    "the machine action that does it.\n"
    "\n"
    "  --tenant ID            the Entra tenant; or MDE_TENANT_ID in the environment\n"
    "  --client ID            the application (client) id; or MDE_CLIENT_ID\n"
    "  --secret-file FILE     read the application's secret from this file instead of MDE_CLIENT_SECRET\n"
    "  --cloud NAME           the cloud of the tenant, for example eu or gcc_high; or MDE_CLOUD\n"
    "  --machine ID           the device id or computer name; or MDE_MACHINE_ID\n"
    "  --comment TEXT         why, for the audit trail of the tenant; or MDE_COMMENT\n"
    "  --option NAME=VALUE    any other option of the library (docs/options.md), for example\n"
    "                         timeout_ms=60000, ca_file=ca.pem or proxy=none; may be repeated\n"
    "  --json                 print the library's JSON document instead, on failure as well\n"
    "  --log LEVEL            error, warn, info or debug: write log lines to stderr\n"
    "  --version              print the version of the library\n"
    "  --help                 print this\n"
    "\n"
    "There is no option that takes the secret itself: other users of the machine can read command lines,\n"
    "and shells keep them in files. A file with tight permissions is best, the environment second.\n"
    "\n"
    "Ctrl-C cancels the call. A request that may have arrived is reported as such, not repeated.\n"
    "\n"
    "Exit codes: 0 a collection runs; 1 it failed or was cancelled; 2 the command line is wrong;\n"
    "3 it failed, but may succeed when tried again later.\n";

/* ---- the command line ------------------------------------------------------------------------- */

static int usage_error(const char *problem, const char *what) {
    fprintf(stderr, "collect: %s%s (see collect --help)\n", problem, what);
    return EXIT_USAGE;
}

/* Empty variables count as not set, as in most tools. */
static const char *from_environment(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Finds the setting that `--name` fills; NULL when there is no such option. */
static const char **setting(struct settings *s, const char *name, size_t length) {
    const struct {
        const char *name;
        const char **place;
    } known[] = {
        {"--tenant", &s->tenant},   {"--client", &s->client},   {"--secret-file", &s->secret_file},
        {"--cloud", &s->cloud},     {"--machine", &s->machine}, {"--comment", &s->comment},
        {"--log", &s->log},         {"--option", s->options + s->option_count},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) == length && strncmp(name, known[i].name, length) == 0) {
            return known[i].place;
        }
    }
    return NULL;
}

/* Accepts `--name value` and `--name=value`. Returns an exit code, or -1 to go on. */
static int parse(struct settings *s, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0) {
            fputs(USAGE, stdout);
            return EXIT_DONE;
        }
        if (strcmp(argument, "--version") == 0) {
            printf("mde %s (ABI %u)\n", mde_version(), (unsigned)mde_abi_version());
            return EXIT_DONE;
        }
        if (strcmp(argument, "--json") == 0) {
            s->json = 1;
            continue;
        }
        size_t length = strcspn(argument, "=");
        int is_option = length == strlen("--option") && strncmp(argument, "--option", length) == 0;
        if (is_option && s->option_count == MAX_OPTIONS) {
            return usage_error("too many of --option", "");
        }
        const char **place = setting(s, argument, length);
        if (place == NULL) {
            return usage_error("unknown argument: ", argument);
        }
        if (argument[length] == '=') {
            *place = argument + length + 1;
        } else if (i + 1 < argc) {
            *place = argv[++i];
        } else {
            return usage_error("a value must follow ", argument);
        }
        s->option_count += is_option ? 1 : 0;
    }
    if (s->machine == NULL) {
        return usage_error("no device: give --machine or set MDE_MACHINE_ID", "");
    }
    if (s->comment == NULL) {
        return usage_error("no reason: give --comment or set MDE_COMMENT", "");
    }
    return -1;
}

/* The MDE_LOG_ number of a level's name; -1 when there is none. */
static int32_t log_level(const char *name) {
    static const char *const names[] = {"off", "error", "warn", "info", "debug"};
    for (int32_t level = MDE_LOG_OFF; level <= MDE_LOG_DEBUG; level++) {
        if (strcmp(name, names[level]) == 0) {
            return level;
        }
    }
    return -1;
}

/* ---- output ----------------------------------------------------------------------------------- */

/* Text from elsewhere goes to a terminal: control characters could rewrite what it shows. */
static void print_safely(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        fputc(byte < 0x20 || byte == 0x7f ? ' ' : byte, out);
    }
}

/* Prints one value of a document behind a label; nothing when the document does not have it. */
static void print_value(FILE *out, const char *label, const char *json, const char *pointer) {
    char *value = NULL;
    if (mde_json_get(json, pointer, &value) == MDE_OK && value != NULL) {
        fprintf(out, "%-12s ", label);
        print_safely(out, value);
        fputc('\n', out);
    }
    mde_string_free(value);
}

/* Whether the value at `pointer` is the JSON value true. */
static int is_true(const char *json, const char *pointer) {
    char *value = NULL;
    int found = mde_json_get(json, pointer, &value) == MDE_OK && value != NULL &&
                strcmp(value, "true") == 0;
    mde_string_free(value);
    return found;
}

static void print_action(const char *json) {
    print_value(stdout, "action", json, "/action/id");
    print_value(stdout, "status", json, "/action/status");
    print_value(stdout, "machine", json, "/action/machineId");
    print_value(stdout, "computer", json, "/action/computerDnsName");
    print_value(stdout, "created", json, "/action/creationDateTimeUtc");
    print_value(stdout, "requestor", json, "/action/requestor");
    print_value(stdout, "comment", json, "/action/requestorComment");
    printf("%-12s %s\n", "adopted",
           is_true(json, "/adopted") ? "yes (it was running already)" : "no (started by this call)");
}

/* Says what went wrong. `json` is the failure document; NULL if there is none. Returns the exit code. */
static int report(const char *doing, int32_t status, const char *json) {
    char *message = NULL;
    char *wait = NULL;
    if (json != NULL) {
        mde_json_get(json, "/error/message", &message);
        mde_json_get(json, "/error/retry_after_ms", &wait);
    }
    fprintf(stderr, "collect: %s: %s (%d): ", doing, mde_status_name(status), (int)status);
    print_safely(stderr, message != NULL ? message : "no details");
    fputc('\n', stderr);
    if (json != NULL) {
        print_value(stderr, "  request id", json, "/error/request_id");
        print_value(stderr, "  action", json, "/error/action_id");
    }
    if (wait != NULL) {
        fprintf(stderr, "%-12s %.1f s\n", "  retry after", strtod(wait, NULL) / 1000.0);
    }
    int code = json != NULL && is_true(json, "/error/retryable") ? EXIT_LATER : EXIT_FAILED;
    mde_string_free(wait);
    mde_string_free(message);
    return code;
}

static void log_line(void *user_data, int32_t level, const char *message) {
    static const char *const names[] = {"", "error", "warn", "info", "debug"};
    (void)user_data;
    int known = level >= MDE_LOG_ERROR && level <= MDE_LOG_DEBUG;
    fprintf(stderr, "%-5s %s\n", known ? names[level] : "log", message);
}

/* ---- settings --------------------------------------------------------------------------------- */

/* Sets one option. Returns 0, or the exit code after saying what is wrong. */
static int set_option(mde_options *options, const char *name, const char *value) {
    char *json = NULL;
    int code = 0;
    int32_t status = mde_options_set(options, name, value, &json);
    if (status != MDE_OK) {
        report("reading the options", status, json);
        code = EXIT_USAGE;
    }
    mde_string_free(json);
    return code;
}

/* `--option name=value`, split. Secrets are refused here for the reason that --help gives. */
static int set_pair(mde_options *options, const char *pair) {
    char name[64];
    size_t length = strcspn(pair, "=");
    if (pair[length] != '=' || length >= sizeof name) {
        return usage_error("--option wants NAME=VALUE, not ", pair);
    }
    memcpy(name, pair, length);
    name[length] = '\0';
    if (strcmp(name, "client_secret") == 0 || strcmp(name, "access_token") == 0) {
        return usage_error("secrets do not belong on a command line: ", name);
    }
    return set_option(options, name, pair + length + 1);
}

/* A plain memset before the end of a buffer's life may be removed by the compiler. */
static void wipe(char *buffer, size_t size) {
    volatile char *at = buffer;
    while (size-- > 0) {
        *at++ = 0;
    }
}

/* The secret from a file: its first line. */
static int set_secret_from_file(mde_options *options, const char *path) {
    char secret[MAX_SECRET];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return usage_error("cannot open the file of --secret-file: ", path);
    }
    /* Unbuffered, so that no copy of the secret stays behind in the stream's buffer. */
    setvbuf(file, NULL, _IONBF, 0);
    int code;
    if (fgets(secret, sizeof secret, file) == NULL) {
        code = usage_error("the file of --secret-file is empty or cannot be read: ", path);
    } else {
        secret[strcspn(secret, "\r\n")] = '\0';
        code = set_option(options, "client_secret", secret);
    }
    wipe(secret, sizeof secret);
    fclose(file);
    return code;
}

static int set_all(mde_options *options, const struct settings *s) {
    const struct {
        const char *name;
        const char *value;
    } plain[] = {
        {"tenant_id", s->tenant},
        {"client_id", s->client},
        {"cloud", s->cloud},
        {"client_secret", s->secret_file == NULL ? from_environment("MDE_CLIENT_SECRET") : NULL},
    };
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof plain / sizeof plain[0]; i++) {
        if (plain[i].value != NULL) {
            code = set_option(options, plain[i].name, plain[i].value);
        }
    }
    if (code == 0 && s->secret_file != NULL) {
        code = set_secret_from_file(options, s->secret_file);
    }
    for (size_t i = 0; code == 0 && i < s->option_count; i++) {
        code = set_pair(options, s->options[i]);
    }
    return code;
}

/* ---- Ctrl-C ----------------------------------------------------------------------------------- */

/*
 * mde_cancel_trigger() may not be called from a signal handler: it takes locks. So the signals are blocked
 * everywhere, and one thread waits for them and triggers the handle like any other thread could.
 */
struct interrupt {
    sigset_t signals;
    const mde_cancel *cancel;
    pthread_t thread;
};

static void *wait_for_signals(void *argument) {
    struct interrupt *interrupt = argument;
    int number = 0;
    while (sigwait(&interrupt->signals, &number) == 0 && number != SIGUSR1) {
        mde_cancel_trigger(interrupt->cancel);
    }
    return NULL;
}

/* Before any other thread is started, so that all inherit the mask. */
static int start_interrupts(struct interrupt *interrupt, const mde_cancel *cancel) {
    interrupt->cancel = cancel;
    sigemptyset(&interrupt->signals);
    sigaddset(&interrupt->signals, SIGINT);
    sigaddset(&interrupt->signals, SIGTERM);
    /* Ours: ends the thread. */
    sigaddset(&interrupt->signals, SIGUSR1);
    if (pthread_sigmask(SIG_BLOCK, &interrupt->signals, NULL) != 0) {
        return -1;
    }
    return pthread_create(&interrupt->thread, NULL, wait_for_signals, interrupt) == 0 ? 0 : -1;
}

static void stop_interrupts(struct interrupt *interrupt) {
    pthread_kill(interrupt->thread, SIGUSR1);
    pthread_join(interrupt->thread, NULL);
}

/* ---- the job ---------------------------------------------------------------------------------- */

static int collect(const struct settings *s, const mde_client *client) {
    struct interrupt interrupt;
    char *json = NULL;
    int code;
    mde_cancel *cancel = mde_cancel_new(0);
    if (cancel == NULL || start_interrupts(&interrupt, cancel) != 0) {
        fprintf(stderr, "collect: cannot prepare for Ctrl-C\n");
        mde_cancel_free(cancel);
        return EXIT_FAILED;
    }
    int32_t status = mde_collect_package(client, s->machine, s->comment, cancel, &json);
    stop_interrupts(&interrupt);
    code = status == MDE_OK ? EXIT_DONE : report("collecting", status, json);
    /* With --json, stdout has the document of a failure too: it is for programs. */
    if (s->json && json != NULL) {
        puts(json);
    } else if (status == MDE_OK) {
        print_action(json);
    }
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        fprintf(stderr, "collect: the collection runs, but stdout cannot be written\n");
        code = EXIT_FAILED;
    }
    mde_string_free(json);
    mde_cancel_free(cancel);
    return code;
}

static int run(const struct settings *s) {
    mde_client *client = NULL;
    char *json = NULL;
    mde_options *options = mde_options_new();
    int code = set_all(options, s);
    if (code == 0) {
        int32_t status = mde_client_new(options, &client, &json);
        if (status == MDE_OK) {
            code = collect(s, client);
        } else {
            report("checking the options", status, json);
            code = EXIT_USAGE;
        }
    }
    mde_string_free(json);
    mde_client_free(client);
    mde_options_free(options);
    return code;
}

int main(int argc, char **argv) {
    /* With a library of another ABI no further function may be called. */
    if (mde_abi_version() != MDE_ABI_VERSION) {
        fprintf(stderr, "collect: built for ABI %d of libmde, but found ABI %u (version %s)\n",
                MDE_ABI_VERSION, (unsigned)mde_abi_version(), mde_version());
        return EXIT_FAILED;
    }
    struct settings s;
    memset(&s, 0, sizeof s);
    s.tenant = from_environment("MDE_TENANT_ID");
    s.client = from_environment("MDE_CLIENT_ID");
    s.cloud = from_environment("MDE_CLOUD");
    s.machine = from_environment("MDE_MACHINE_ID");
    s.comment = from_environment("MDE_COMMENT");
    int code = parse(&s, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (s.log != NULL) {
        int32_t level = log_level(s.log);
        if (level < 0) {
            return usage_error("--log wants error, warn, info or debug, not ", s.log);
        }
        mde_log_set(log_line, NULL, level);
    }
    code = run(&s);
    mde_log_set(NULL, NULL, MDE_LOG_OFF);
    return code;
}
