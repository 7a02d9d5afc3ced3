/*
 * tool.c: settings, text on a terminal, Ctrl-C. See tool.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tool.h"

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>

#include <shellapi.h>
#else
#include <pthread.h>
#include <signal.h>
#endif

#define MAX_SECRET 4096

/* ---- text from the system --------------------------------------------------------------------- */

#ifdef _WIN32

/*
 * On Windows, `char` text is in a code page that lacks most names, but the library takes UTF-8. The results
 * are never freed: they live as long as the program.
 */
static char *to_utf8(const wchar_t *wide) {
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = size > 0 ? malloc((size_t)size) : NULL;
    if (text != NULL) {
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
    }
    return text;
}

static wchar_t *to_wide(const char *text) {
    int size = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *wide = size > 0 ? malloc((size_t)size * sizeof *wide) : NULL;
    if (wide != NULL) {
        MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, size);
    }
    return wide;
}

static char **arguments(int *argc, char **argv) {
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), argc);
    char **all = wide != NULL ? malloc(sizeof *all * ((size_t)*argc + 1)) : NULL;
    if (all == NULL) {
        return argv;
    }
    for (int i = 0; i < *argc; i++) {
        all[i] = to_utf8(wide[i]);
        if (all[i] == NULL) {
            return argv;
        }
    }
    all[*argc] = NULL;
    LocalFree(wide);
    SetConsoleOutputCP(CP_UTF8);
    return all;
}

static const char *variable(const char *name) {
    wchar_t *wide = to_wide(name);
    const wchar_t *value = wide != NULL ? _wgetenv(wide) : NULL;
    free(wide);
    return value != NULL ? to_utf8(value) : NULL;
}

FILE *open_to_read(const char *path) {
    wchar_t *wide = to_wide(path);
    FILE *file = wide != NULL ? _wfopen(wide, L"r") : NULL;
    free(wide);
    return file;
}

#else

static char **arguments(int *argc, char **argv) {
    (void)argc;
    return argv;
}

static const char *variable(const char *name) {
    return getenv(name);
}

FILE *open_to_read(const char *path) {
    return fopen(path, "r");
}

#endif

/* ---- the command line ------------------------------------------------------------------------- */

static int usage_error(const struct settings *s, const char *problem, const char *what) {
    fprintf(stderr, "%s: %s%s (see %s --help)\n", s->program, problem, what, s->program);
    return EXIT_USAGE;
}

const char *from_environment(const char *name) {
    const char *value = variable(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Finds the setting that `--name` sets. NULL if there is no such option. */
static const char **setting(struct settings *s, const char *name, size_t length) {
    const struct {
        const char *name;
        const char **value;
    } known[] = {
        {"--tenant", &s->tenant},   {"--client", &s->client},   {"--secret-file", &s->secret_file},
        {"--cloud", &s->cloud},     {"--log", &s->log},         {"--option", s->options + s->option_count},
        {"--comment", s->bare ? NULL : &s->comment},
        {s->many ? "--list" : "--machine", s->bare ? NULL : s->many ? &s->list : &s->machine},
        {"--out", s->out != NULL ? &s->out : NULL},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) == length && strncmp(name, known[i].name, length) == 0) {
            return known[i].value;
        }
    }
    return NULL;
}

/* Accepts `--name value` and `--name=value`. Returns an exit code, or -1 on success. */
static int parse(struct settings *s, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0) {
            fputs(s->usage, stdout);
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
            return usage_error(s, "too many of --option", "");
        }
        const char **value = setting(s, argument, length);
        if (value == NULL) {
            return usage_error(s, "unknown argument: ", argument);
        }
        if (argument[length] == '=') {
            *value = argument + length + 1;
        } else if (i + 1 < argc) {
            *value = argv[++i];
        } else {
            return usage_error(s, "a value must follow ", argument);
        }
        s->option_count += is_option ? 1 : 0;
    }
    if (s->machine == NULL && !s->many && !s->bare) {
        return usage_error(s, "no device: give --machine or set MDE_MACHINE_ID", "");
    }
    if (s->comment == NULL && !s->bare) {
        return usage_error(s, "no reason: give --comment or set MDE_COMMENT", "");
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

static void log_line(void *user_data, int32_t level, const char *message) {
    static const char *const names[] = {"", "error", "warn", "info", "debug"};
    (void)user_data;
    int known = level >= MDE_LOG_ERROR && level <= MDE_LOG_DEBUG;
    fprintf(stderr, "%-5s %s\n", known ? names[level] : "log", message);
}

int settings_read(struct settings *s, int argc, char **argv) {
    /* No other function of a library with another ABI may be called. */
    if (mde_abi_version() != MDE_HEADER_ABI_VERSION) {
        fprintf(stderr, "%s: built for ABI %d of libmde, but found ABI %u (version %s)\n", s->program,
                MDE_HEADER_ABI_VERSION, (unsigned)mde_abi_version(), mde_version());
        return EXIT_FAILED;
    }
    s->tenant = from_environment("MDE_TENANT_ID");
    s->client = from_environment("MDE_CLIENT_ID");
    s->cloud = from_environment("MDE_CLOUD");
    s->machine = from_environment("MDE_MACHINE_ID");
    s->comment = from_environment("MDE_COMMENT");
    argv = arguments(&argc, argv);
    int code = parse(s, argc, argv);
    if (code >= 0 || s->log == NULL) {
        return code;
    }
    int32_t level = log_level(s->log);
    if (level < 0) {
        return usage_error(s, "--log wants error, warn, info or debug, not ", s->log);
    }
    mde_log_set(log_line, NULL, NULL, level);
    return -1;
}

/* ---- options ---------------------------------------------------------------------------------- */

/* Sets one option. Prints the error and returns an exit code, or returns -1 on success. */
static int set_option(const struct settings *s, mde_options *options, const char *name, const char *value) {
    char *json = NULL;
    int code = -1;
    int32_t status = mde_options_set(options, name, value, &json);
    if (status != MDE_OK) {
        report(s, "reading the options", status, json);
        code = EXIT_USAGE;
    }
    mde_string_free(json);
    return code;
}

/* The options that hold a secret, and the variables that they come from. */
static const struct {
    const char *name;
    const char *variable;
} secrets[] = {
    {"client_secret", "MDE_CLIENT_SECRET"},
    {"certificate_password", "MDE_CERTIFICATE_PASSWORD"},
    {"access_token", "MDE_ACCESS_TOKEN"},
    {"proxy", "MDE_PROXY"},
};

/* Sets the option in `name=value`. Refuses secrets, for the reason that --help gives. */
static int set_pair(const struct settings *s, mde_options *options, const char *pair) {
    char name[64];
    size_t length = strcspn(pair, "=");
    if (pair[length] != '=' || length >= sizeof name) {
        return usage_error(s, "--option wants NAME=VALUE, not ", pair);
    }
    memcpy(name, pair, length);
    name[length] = '\0';
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        /* A proxy is a secret only with a login, as in http://user:password@host:port. */
        int holds_one = strcmp(name, "proxy") != 0 || strchr(pair, '@') != NULL;
        if (holds_one && strcmp(name, secrets[i].name) == 0) {
            return usage_error(s, "secrets do not belong on a command line; set this variable instead: ",
                               secrets[i].variable);
        }
    }
    return set_option(s, options, name, pair + length + 1);
}

/* The compiler may remove a plain memset at the end of a buffer's life. */
static void wipe(char *buffer, size_t size) {
    volatile char *at = buffer;
    while (size-- > 0) {
        *at++ = 0;
    }
}

/* Sets the secret to the first line of the file. */
static int set_secret_from_file(const struct settings *s, mde_options *options) {
    char secret[MAX_SECRET];
    FILE *file = open_to_read(s->secret_file);
    if (file == NULL) {
        return usage_error(s, "cannot open the file of --secret-file: ", s->secret_file);
    }
    /* Without a buffer, the stream keeps no copy of the secret. */
    setvbuf(file, NULL, _IONBF, 0);
    int code;
    if (fgets(secret, sizeof secret, file) == NULL) {
        code = usage_error(s, "the file of --secret-file is empty or cannot be read: ", s->secret_file);
    } else {
        secret[strcspn(secret, "\r\n")] = '\0';
        code = set_option(s, options, "client_secret", secret);
    }
    wipe(secret, sizeof secret);
    fclose(file);
    return code;
}

static int set_all(const struct settings *s, mde_options *options) {
    const struct {
        const char *name;
        const char *value;
    } plain[] = {
        {"tenant_id", s->tenant},
        {"client_id", s->client},
        {"cloud", s->cloud},
    };
    int code = -1;
    for (size_t i = 0; code < 0 && i < sizeof plain / sizeof plain[0]; i++) {
        if (plain[i].value != NULL) {
            code = set_option(s, options, plain[i].name, plain[i].value);
        }
    }
    for (size_t i = 0; code < 0 && i < sizeof secrets / sizeof secrets[0]; i++) {
        int from_file = s->secret_file != NULL && strcmp(secrets[i].name, "client_secret") == 0;
        const char *value = from_file ? NULL : from_environment(secrets[i].variable);
        if (value != NULL) {
            code = set_option(s, options, secrets[i].name, value);
        }
    }
    if (code < 0 && s->secret_file != NULL) {
        code = set_secret_from_file(s, options);
    }
    for (size_t i = 0; code < 0 && i < s->option_count; i++) {
        code = set_pair(s, options, s->options[i]);
    }
    return code;
}

int settings_client(const struct settings *s, mde_client **client) {
    char *json = NULL;
    mde_options *options = mde_options_new();
    int code = set_all(s, options);
    if (code < 0) {
        int32_t status = mde_client_new(options, client, &json);
        if (status != MDE_OK) {
            report(s, "checking the options", status, json);
            fprintf(stderr, "%s: %s --help lists the arguments and variables that set them\n", s->program, s->program);
            code = EXIT_USAGE;
        }
    }
    mde_string_free(json);
    mde_options_free(options);
    return code;
}

/* ---- documents and text ----------------------------------------------------------------------- */

char *json_text(const char *json, const char *pointer) {
    char *value = NULL;
    mde_json_get(json, pointer, &value);
    return value;
}

uint64_t json_number(const char *json, const char *pointer, uint64_t otherwise) {
    char *text = json_text(json, pointer);
    uint64_t number = text != NULL ? strtoull(text, NULL, 10) : otherwise;
    mde_string_free(text);
    return number;
}

int json_is_true(const char *json, const char *pointer) {
    char *text = json_text(json, pointer);
    int yes = text != NULL && strcmp(text, "true") == 0;
    mde_string_free(text);
    return yes;
}

const char *size_text(char *text, size_t size, uint64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double value = (double)bytes / 1000.0;
    size_t unit = 0;
    while (value >= 999.95 && unit < sizeof units / sizeof units[0] - 1) {
        value /= 1000.0;
        unit++;
    }
    snprintf(text, size, "%.1f %s", value, units[unit]);
    return text;
}

void print_safely(FILE *out, const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) {
            /* U+0080 to U+009F are control characters too, and some terminals obey them. */
            at++;
            fputc(' ', out);
        } else {
            fputc(*at < 0x20 || *at == 0x7f ? ' ' : *at, out);
        }
    }
}

void print_value(FILE *out, const char *label, const char *json, const char *pointer) {
    char *value = json_text(json, pointer);
    if (value != NULL) {
        fprintf(out, "%-12s ", label);
        print_safely(out, value);
        fputc('\n', out);
    }
    mde_string_free(value);
}

int report(const struct settings *s, const char *doing, int32_t status, const char *json) {
    if (json == NULL) {
        fprintf(stderr, "%s: %s: %s (%d)\n", s->program, doing, mde_status_name(status), (int)status);
        return EXIT_FAILED;
    }
    char *message = json_text(json, "/error/message");
    fprintf(stderr, "%s: %s: %s (%d): ", s->program, doing, mde_status_name(status), (int)status);
    print_safely(stderr, message != NULL ? message : "no details");
    fputc('\n', stderr);
    mde_string_free(message);
    print_value(stderr, "  request id", json, "/error/request_id");
    print_value(stderr, "  action", json, "/error/action_id");
    uint64_t wait = json_number(json, "/error/retry_after_ms", 0);
    if (wait > 0) {
        fprintf(stderr, "%-12s %.1f s\n", "  retry after", (double)wait / 1000.0);
    }
    return json_is_true(json, "/error/retryable") ? EXIT_LATER : EXIT_FAILED;
}

/* ---- Ctrl-C ----------------------------------------------------------------------------------- */

#ifdef _WIN32

static const mde_cancel *interrupted;

/* The system calls this on a separate thread, so it may trigger the handle itself. */
static BOOL WINAPI trigger(DWORD event) {
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) {
        return FALSE;
    }
    mde_cancel_trigger(interrupted);
    return TRUE;
}

int interrupts_start(const mde_cancel *cancel) {
    interrupted = cancel;
    return SetConsoleCtrlHandler(trigger, TRUE) ? 0 : -1;
}

void interrupts_stop(void) {
    SetConsoleCtrlHandler(trigger, FALSE);
}

#else

/*
 * A signal handler may not call mde_cancel_trigger(), which takes locks. So all threads block the signals,
 * and one thread waits for them and triggers the handle.
 */
static struct {
    sigset_t signals;
    sigset_t mask_before;
    const mde_cancel *cancel;
    pthread_t thread;
} interrupts;

static void *wait_for_signals(void *unused) {
    int number = 0;
    while (sigwait(&interrupts.signals, &number) == 0 && number != SIGUSR1) {
        mde_cancel_trigger(interrupts.cancel);
    }
    return unused;
}

int interrupts_start(const mde_cancel *cancel) {
    interrupts.cancel = cancel;
    sigemptyset(&interrupts.signals);
    sigaddset(&interrupts.signals, SIGINT);
    sigaddset(&interrupts.signals, SIGTERM);
    /* interrupts_stop() sends it to end the thread. */
    sigaddset(&interrupts.signals, SIGUSR1);
    if (pthread_sigmask(SIG_BLOCK, &interrupts.signals, &interrupts.mask_before) != 0) {
        return -1;
    }
    if (pthread_create(&interrupts.thread, NULL, wait_for_signals, NULL) != 0) {
        pthread_sigmask(SIG_SETMASK, &interrupts.mask_before, NULL);
        return -1;
    }
    return 0;
}

void interrupts_stop(void) {
    pthread_kill(interrupts.thread, SIGUSR1);
    pthread_join(interrupts.thread, NULL);
    pthread_sigmask(SIG_SETMASK, &interrupts.mask_before, NULL);
}

#endif
