/*
 * fetch: gets an investigation package of one device through Microsoft Defender for Endpoint, from the
 * request to a checked file.
 *
 * A small but complete program around mde_fetch_package(), in plain C99 for POSIX and Windows. It shows
 * progress on a terminal or in a log, Ctrl-C, and how a run resumes an interrupted one. It lists what is
 * in the package without a JSON library. tool.c has the code that it shares with collect.c.
 *
 *     cc -std=c99 fetch.c tool.c -lmde -pthread -o fetch
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

static const char USAGE[] =
    "usage: fetch --tenant ID --client ID --machine ID --comment TEXT [--out PATH] [...]\n"
    "\n"
    "Collects an investigation package from a device through Microsoft Defender for Endpoint, downloads\n"
    "and checks it, and prints where it is and what is in it. A collection that runs already is used.\n"
    "\n"
    "  --out PATH             the file to make, or a folder to make it in, under a name of its own;\n"
    "                         the current folder if not given; or MDE_OUT\n" USAGE_OF_MACHINE USAGE_OF_COMMENT USAGE_OF_SETTINGS
    "\n"
    "Ctrl-C cancels the call. Run the same command to resume, now or tomorrow: it starts no second\n"
    "collection, and downloads only what is missing.\n"
    "\n"
    "Exit codes: 0 the package is there; 1 it failed or was cancelled; 2 the command line is wrong;\n"
    "3 it failed, but may succeed when tried again later.\n";

/* The number of names that are printed. `unzip -l` lists all. */
enum { MAX_LISTED = 200 };

/* ---- progress --------------------------------------------------------------------------------- */

enum { BAR = 24, QUIET_SECONDS = 5 };

/* Shows progress on stderr: one line that is redrawn on a terminal, or else lines for a log. */
struct display {
    int live;
    /* The terminal's last line has no newline yet. */
    int open;
    /* What the last line reported. */
    char stage[16];
    char state[32];
    uint64_t bytes;
    time_t shown;
};

static time_t seconds_now(void) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Ends the line, so that something else can be printed. */
static void display_close(struct display *d) {
    if (d->open) {
        fputc('\n', stderr);
        d->open = 0;
    }
}

static void display_line(struct display *d, const char *line) {
    if (d->live) {
        /* Overwrites the old line, then erases what is left of it. */
        fputc('\r', stderr);
        print_safely(stderr, line);
        fputs("\033[K", stderr);
        d->open = 1;
    } else {
        print_safely(stderr, line);
        fputc('\n', stderr);
    }
    fflush(stderr);
}

/* `downloading  [######------------------]  25 %  1.8 MB of 7.3 MB, 0.5 MB/s`. A `total` of 0 is unknown. */
static void bar_text(char *line, size_t size, const char *doing, uint64_t bytes, uint64_t total, const char *rate) {
    char bar[BAR + 1], have[24], all[24];
    size_text(have, sizeof have, bytes);
    if (total == 0) {
        snprintf(line, size, "%-12s %s%s", doing, have, rate);
        return;
    }
    double share = bytes < total ? (double)bytes / (double)total : 1.0;
    memset(bar, '-', BAR);
    memset(bar, '#', (size_t)(share * BAR));
    bar[BAR] = '\0';
    snprintf(line, size, "%-12s [%s] %3d %%  %s of %s%s", doing, bar, (int)(share * 100.0), have,
             size_text(all, sizeof all, total), rate);
}

static void wait_text(char *line, size_t size, const char *state, const char *event) {
    uint64_t seconds = json_number(event, "/elapsed_ms", 0) / 1000;
    uint64_t next = json_number(event, "/next_poll_ms", 0);
    int length = snprintf(line, size, "%-12s %s after %" PRIu64 ":%02d", "waiting", state, seconds / 60,
                          (int)(seconds % 60));
    if (next > 0 && length > 0 && (size_t)length < size) {
        snprintf(line + length, size - (size_t)length, ", next poll in %.0f s", (double)next / 1000.0);
    }
}

static void quota_text(char *line, size_t size, const char *event) {
    uint64_t wait = json_number(event, "/wait_ms", 0);
    char *endpoint = json_text(event, "/endpoint");
    int length = snprintf(line, size, "%-12s for the quota of %.20s", "queueing", endpoint != NULL ? endpoint : "?");
    if (wait > 0 && length > 0 && (size_t)length < size) {
        snprintf(line + length, size - (size_t)length, ", %" PRIu64 " s at least", wait / 1000);
    }
    mde_string_free(endpoint);
}

/* Describes an event in a line. Returns 0 for a stage that only a later version of the library knows. */
static int event_text(char *line, size_t size, const char *stage, const char *state, const char *event) {
    char rate[40] = "";
    uint64_t bytes = json_number(event, "/bytes", 0);
    uint64_t total = json_number(event, "/total", 0);
    if (strcmp(stage, "quota") == 0) {
        quota_text(line, size, event);
    } else if (strcmp(stage, "collect") == 0) {
        char *action = json_text(event, "/action_id");
        int adopted = json_is_true(event, "/adopted");
        snprintf(line, size, "%-12s action %.40s, %s", "collecting", action != NULL ? action : "?",
                 adopted ? "which existed already" : "started now");
        mde_string_free(action);
    } else if (strcmp(stage, "wait") == 0) {
        wait_text(line, size, state, event);
    } else if (strcmp(stage, "download") == 0) {
        uint64_t per_second = json_number(event, "/bytes_per_second", 0);
        if (per_second > 0) {
            char speed[24];
            snprintf(rate, sizeof rate, ", %s/s", size_text(speed, sizeof speed, per_second));
        }
        bar_text(line, size, "downloading", bytes, total, rate);
    } else if (strcmp(stage, "verify") == 0) {
        bar_text(line, size, "checking", bytes, total, rate);
    } else {
        return 0;
    }
    return 1;
}

/* Called by mde_fetch_package(), on the thread that called it, at most ten times a second. */
static int32_t on_progress(void *user_data, const char *event) {
    struct display *d = user_data;
    char line[160];
    char *stage = json_text(event, "/stage");
    char *state = json_text(event, "/status");
    const char *in_state = state != NULL ? state : "not listed yet";
    if (stage != NULL && event_text(line, sizeof line, stage, in_state, event)) {
        uint64_t bytes = json_number(event, "/bytes", 0);
        int new_stage = strncmp(stage, d->stage, sizeof d->stage - 1) != 0;
        int new_state = strncmp(in_state, d->state, sizeof d->state - 1) != 0;
        int whole = bytes != d->bytes && bytes == json_number(event, "/total", 0);
        if (new_stage) {
            display_close(d);
        }
        /* A log gets a line for each change, and one every few seconds. */
        if (d->live || new_stage || new_state || whole || seconds_now() - d->shown >= QUIET_SECONDS) {
            display_line(d, line);
            snprintf(d->stage, sizeof d->stage, "%s", stage);
            snprintf(d->state, sizeof d->state, "%s", in_state);
            d->bytes = bytes;
            d->shown = seconds_now();
        }
    }
    mde_string_free(state);
    mde_string_free(stage);
    /* Any other number would cancel the call. */
    return 0;
}

/* ---- the package ------------------------------------------------------------------------------ */

static void print_missing(const char *json) {
    char pointer[64];
    for (size_t i = 0;; i++) {
        snprintf(pointer, sizeof pointer, "/package/missing/%zu", i);
        char *name = json_text(json, pointer);
        if (name == NULL) {
            if (i == 0) {
                printf("%-12s nothing\n", "missing");
            }
            return;
        }
        printf("%-12s ", i == 0 ? "missing" : "");
        print_safely(stdout, name);
        putchar('\n');
        mde_string_free(name);
    }
}

static void print_package(const char *json) {
    print_value(stdout, "package", json, "/package/path");
    print_value(stdout, "bytes", json, "/package/bytes");
    print_value(stdout, "sha256", json, "/package/sha256");
    print_value(stdout, "machine", json, "/action/machineId");
    print_value(stdout, "computer", json, "/package/computer_name");
    print_value(stdout, "action", json, "/action/id");
    printf("%-12s %s\n", "adopted",
           json_is_true(json, "/adopted") ? "yes (this call did not start it)" : "no (started by this call)");
    char *device = json_text(json, "/package/device");
    printf("%-12s %s\n", "device", device != NULL ? device : "unknown: this is not the layout of a package");
    /* The expected contents are known only for known kinds of devices. */
    if (device != NULL) {
        print_missing(json);
    }
    mde_string_free(device);
}

/* Prints the names in a package; nothing is unpacked. Returns the exit code. */
static int print_contents(const struct settings *s, const char *path, const mde_cancel *cancel) {
    char *json = NULL;
    int32_t status = mde_inspect_package(path, NULL, NULL, cancel, &json);
    if (status != MDE_OK) {
        int code = report(s, "listing the package", status, json);
        mde_string_free(json);
        return code;
    }
    uint64_t entries = json_number(json, "/package/entries", 0);
    printf("%-12s %" PRIu64 " entries\n", "contents", entries);
    for (uint64_t i = 0; i < entries && i < MAX_LISTED; i++) {
        char pointer[64];
        /* Takes the entry first and its members out of it, since the whole document may be long. */
        snprintf(pointer, sizeof pointer, "/package/files/%" PRIu64, i);
        char *entry = json_text(json, pointer);
        char *name = entry != NULL ? json_text(entry, "/name") : NULL;
        if (name != NULL) {
            printf("%12" PRIu64 " ", json_number(entry, "/bytes", 0));
            print_safely(stdout, name);
            putchar('\n');
        }
        mde_string_free(name);
        mde_string_free(entry);
    }
    if (entries > MAX_LISTED) {
        printf("%12s and %" PRIu64 " more\n", "", entries - MAX_LISTED);
    }
    mde_string_free(json);
    return EXIT_DONE;
}

/* ---- the job ---------------------------------------------------------------------------------- */

/* Whether the same command can resume this one. */
static int can_resume(int32_t status, const char *json) {
    if (json == NULL) {
        return 0;
    }
    char *action = json_text(json, "/error/action_id");
    char *outcome = json_text(json, "/error/outcome");
    int transient = status == MDE_ERR_CANCELLED || status == MDE_ERR_DISK_FULL || json_is_true(json, "/error/retryable");
    int begun = action != NULL || outcome != NULL;
    mde_string_free(outcome);
    mde_string_free(action);
    return transient && begun;
}

static int fetch(const struct settings *s, const mde_client *client) {
    /* Log lines would break up a line that is being redrawn. */
    struct display display = {.live = isatty(STDERR_FILENO) && s->log == NULL};
    char *json = NULL;
    mde_cancel *cancel = mde_cancel_new(0);
    if (cancel == NULL || interrupts_start(cancel) != 0) {
        fprintf(stderr, "fetch: cannot prepare for Ctrl-C\n");
        mde_cancel_free(cancel);
        return EXIT_FAILED;
    }
    int32_t status =
        mde_fetch_package(client, s->machine, s->comment, s->out, on_progress, &display, cancel, &json);
    display_close(&display);
    int code = EXIT_DONE;
    if (status != MDE_OK) {
        code = report(s, "fetching", status, json);
        if (can_resume(status, json)) {
            fprintf(stderr, "fetch: run the same command to resume\n");
        }
    }
    /* With --json, programs read stdout, so it gets the document of a failure too. */
    if (s->json && json != NULL) {
        puts(json);
    } else if (status == MDE_OK) {
        print_package(json);
    }
    /* Only after the output: until then a late Ctrl-C would end the program with the result unprinted. */
    fflush(stdout);
    interrupts_stop();
    if (status == MDE_OK && !s->json) {
        char *path = json_text(json, "/package/path");
        code = print_contents(s, path, cancel);
        mde_string_free(path);
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
        fprintf(stderr, "fetch: the package is there, but stdout cannot be written\n");
        code = EXIT_FAILED;
    }
    mde_string_free(json);
    mde_cancel_free(cancel);
    return code;
}

int main(int argc, char **argv) {
    const char *out = from_environment("MDE_OUT");
    struct settings s = {.program = "fetch", .usage = USAGE, .out = out != NULL ? out : "."};
    mde_client *client = NULL;
    int code = settings_read(&s, argc, argv);
    if (code < 0) {
        code = settings_client(&s, &client);
    }
    if (code < 0) {
        code = fetch(&s, client);
    }
    mde_client_free(client);
    return code;
}
