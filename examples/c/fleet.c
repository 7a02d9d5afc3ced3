/*
 * fleet: gets the investigation packages of many devices through Microsoft Defender for Endpoint.
 *
 * A small but complete program around mde_fetch_packages(), in plain C99 for POSIX and Windows. It finds the
 * devices of a list by their names, shows the progress and the time left, and ends with a table. tool.c has
 * the code that it shares with fetch.c, which does the same for one device.
 *
 * Begin at the end: fetch_all() makes the call. find_devices() prepares its devices, on_progress() gets its
 * events, and print_table() reads its document. Functions that may end the program return its exit code, or -1
 * to go on.
 *
 *     cc -std=c99 fleet.c tool.c -lmde -pthread -o fleet
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

static const char USAGE[] =
    "usage: fleet --tenant ID --client ID --list FILE --comment TEXT --out FOLDER [...]\n"
    "\n"
    "Collects the investigation packages of many devices through Microsoft Defender for Endpoint, downloads\n"
    "and checks them, and prints a table. It is as fast as the service's quota allows: 120 packages an hour.\n"
    "\n"
    "  --list FILE            a CSV file with a device name or id in the first column, with or without a header;\n"
    "                         without it, the job in the folder is resumed with the devices that it has\n"
    "  --out FOLDER           a folder that exists, for the packages and the job's journal; the current folder\n"
    "                         if not given; or MDE_OUT\n" USAGE_OF_COMMENT USAGE_OF_SETTINGS
    "\n"
    "Ctrl-C cancels the call. Run the same command to resume, now or tomorrow: it asks no device twice, and\n"
    "downloads only what is missing. Devices that are offline are waited for; --option wait_timeout_ms=7200000\n"
    "ends the command after two hours.\n"
    "\n"
    "Exit codes: 0 all packages are there; 1 some are not, or it was cancelled; 2 the command line is wrong;\n"
    "3 some are not, and the same command may bring them later.\n";

/* ---- the list of devices ---------------------------------------------------------------------- */

/* A text that grows. */
struct text {
    char *at;
    size_t length;
    size_t size;
};

static void append_some(struct text *text, const char *more, size_t length) {
    if (text->length + length >= text->size) {
        text->size = 2 * (text->length + length) + 1;
        text->at = realloc(text->at, text->size);
        if (text->at == NULL) {
            fprintf(stderr, "fleet: out of memory\n");
            exit(EXIT_FAILED);
        }
    }
    memcpy(text->at + text->length, more, length);
    text->length += length;
    text->at[text->length] = '\0';
}

static void append(struct text *text, const char *more) {
    append_some(text, more, strlen(more));
}

/*
 * Reads the first column of the next line, which may be in quotes, in lower case as the service keeps names.
 * Returns 0 at the end of the file.
 */
static int read_name(FILE *list, char *name, size_t size) {
    size_t length = 0;
    int quoted = 0, first_column = 1;
    int c = getc(list);
    if (c == EOF) {
        return 0;
    }
    for (; c != EOF && (c != '\n' || quoted); c = getc(list)) {
        if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ',' || c == ';' || c == '\t')) {
            first_column = 0;
        } else if (first_column && length + 1 < size && (length > 0 || c != ' ')) {
            name[length++] = (char)tolower(c);
        }
    }
    while (length > 0 && (name[length - 1] == ' ' || name[length - 1] == '\r')) {
        length--;
    }
    name[length] = '\0';
    return 1;
}

/* Whether `whole` is this name, or this name with a domain. A search also finds names that merely begin so. */
static int is_named(const char *whole, const char *name) {
    if (whole == NULL) {
        return 0;
    }
    while (*name != '\0' && tolower((unsigned char)*whole) == *name) {
        whole++;
        name++;
    }
    return *name == '\0' && (*whole == '\0' || *whole == '.');
}

/*
 * The devices of the list, as mde_fetch_packages() takes them: in one document like those of
 * mde_find_machines(). These are the elements of its two arrays.
 */
struct devices {
    struct text machines;
    struct text checks;
    int found;
    int left_out;
};

/* Copies an element of an array in `json` to the end of `elements`. */
static void append_element(struct text *elements, const char *json, const char *array, int index) {
    char pointer[32];
    snprintf(pointer, sizeof pointer, "%s/%d", array, index);
    char *element = json_text(json, pointer);
    if (element != NULL) {
        append(elements, elements->length > 0 ? "," : "");
        append(elements, element);
    }
    mde_string_free(element);
}

/* Counts the devices with this name in a document of mde_find_machines(). `last` gets the index of the last one. */
static int count_named(const char *json, const char *name, int *last) {
    int count = 0;
    for (int i = 0;; i++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/machines/%d", i);
        char *machine = json_text(json, pointer);
        if (machine == NULL) {
            return count;
        }
        char *id = json_text(machine, "/id"), *dns_name = json_text(machine, "/computerDnsName");
        if (is_named(id, name) || is_named(dns_name, name)) {
            *last = i;
            count++;
        }
        mde_string_free(dns_name);
        mde_string_free(id);
        mde_string_free(machine);
    }
}

/* Adds the device that a line of the list names. If no device has this name, or several, it says so instead. */
static void add_device(struct devices *devices, int line, const char *name, const char *json) {
    int index = 0, count = count_named(json, name, &index);
    if (count == 1) {
        append_element(&devices->machines, json, "/machines", index);
        /* With the checks, devices with a known problem are skipped and not waited for. */
        append_element(&devices->checks, json, "/checks", index);
        devices->found++;
        return;
    }
    const char *problem = "there is no such device";
    int is_header = count == 0 && line == 1;
    if (is_header) {
        problem = "no device, so it is taken for the header";
    } else if (count > 1) {
        problem = "several devices have this name; write the id of one instead";
    }
    fprintf(stderr, "fleet: line %d of the list: %s: ", line, problem);
    print_safely(stderr, name);
    fputc('\n', stderr);
    devices->left_out += is_header ? 0 : 1;
}

/* Finds the devices of the list. Returns an exit code, or -1 on success. */
static int find_devices(const struct settings *s, const mde_client *client, const mde_cancel *cancel,
                        struct devices *devices) {
    char cell[256];
    int code = -1;
    FILE *list = open_to_read(s->list);
    if (list == NULL) {
        fprintf(stderr, "fleet: cannot open the file of --list: %s\n", s->list);
        return EXIT_USAGE;
    }
    for (int line = 1; code < 0 && read_name(list, cell, sizeof cell); line++) {
        /* Spreadsheets write a byte order mark. */
        const char *name = strncmp(cell, "\xEF\xBB\xBF", 3) == 0 ? cell + 3 : cell;
        if (*name == '\0') {
            continue;
        }
        char *json = NULL;
        int32_t status = mde_find_machines(client, name, cancel, &json);
        /* Text that can be no name, such as that of a header, is refused before anything is sent. */
        if (status == MDE_OK || status == MDE_ERR_INVALID_ARGUMENT) {
            add_device(devices, line, name, json);
        } else {
            code = report(s, "finding the devices", status, json);
        }
        mde_string_free(json);
    }
    if (code < 0 && ferror(list)) {
        fprintf(stderr, "fleet: cannot read the file of --list: %s\n", s->list);
        code = EXIT_USAGE;
    }
    fclose(list);
    if (code < 0 && devices->found == 0) {
        fprintf(stderr, "fleet: no line of the list names a device\n");
        code = EXIT_USAGE;
    }
    return code;
}

/* The document of all devices. Free it with free(). */
static char *devices_document(const struct devices *devices) {
    struct text whole = {NULL, 0, 0};
    append(&whole, "{\"machines\":[");
    append(&whole, devices->machines.at);
    append(&whole, "],\"checks\":[");
    append(&whole, devices->checks.at);
    append(&whole, "]}");
    return whole.at;
}

/* ---- progress --------------------------------------------------------------------------------- */

enum { QUIET_SECONDS = 30 };

/* Shows how the job stands on stderr: one line that is redrawn on a terminal, or else lines for a log. */
struct display {
    int live;
    int open;
    time_t shown;
};

static const char *time_text(char *text, size_t size, uint64_t ms) {
    uint64_t minutes = ms / 60000;
    if (minutes >= 60) {
        snprintf(text, size, "%" PRIu64 " h %d min", minutes / 60, (int)(minutes % 60));
    } else {
        snprintf(text, size, "%d min %d s", (int)minutes, (int)(ms / 1000 % 60));
    }
    return text;
}

static void display_job(struct display *d, const char *event) {
    uint64_t devices = json_number(event, "/devices", 0), done = json_number(event, "/done", 0);
    uint64_t failed = json_number(event, "/failed", 0), skipped = json_number(event, "/skipped", 0);
    uint64_t left = json_number(event, "/eta_ms", 0);
    int is_over = done + failed + skipped == devices;
    char have[24], time_left[32];
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!d->live && !is_over && d->shown != 0 && now.tv_sec - d->shown < QUIET_SECONDS) {
        return;
    }
    fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " collecting, %s",
            d->live ? "\r" : "", done, devices, failed, json_number(event, "/running", 0),
            size_text(have, sizeof have, json_number(event, "/bytes", 0)));
    /* The library knows the quota: this is the least time, whatever the devices and the network do. */
    if (left > 0) {
        fprintf(stderr, ", at least %s left", time_text(time_left, sizeof time_left, left));
    }
    fputs(d->live ? "\033[K" : "\n", stderr);
    fflush(stderr);
    d->open = d->live;
    d->shown = now.tv_sec;
}

/* Called by mde_fetch_packages(), on the thread that called it, at most ten times a second. */
static int32_t on_progress(void *user_data, const char *event) {
    char *stage = json_text(event, "/stage");
    /* The other stages are about single devices, or of a later version of the library. */
    if (stage != NULL && strcmp(stage, "fleet") == 0) {
        display_job(user_data, event);
    }
    mde_string_free(stage);
    /* Any other number would cancel the call. */
    return 0;
}

/* ---- the table -------------------------------------------------------------------------------- */

/*
 * Copies the next object of an array and moves on behind it; NULL at the end. Of thousands, mde_json_get()
 * would read the whole array for each. Free it with free().
 */
static char *next_object(const char **at) {
    const char *begin = strchr(*at, '{');
    int depth = 0, quoted = 0;
    for (const char *c = begin; c != NULL && *c != '\0'; c++) {
        if (quoted && *c == '\\') {
            c++;
        } else if (*c == '"') {
            quoted = !quoted;
        } else if (!quoted && *c == '{') {
            depth++;
        } else if (!quoted && *c == '}' && --depth == 0) {
            struct text object = {NULL, 0, 0};
            append_some(&object, begin, (size_t)(c + 1 - begin));
            *at = c + 1;
            return object.at;
        }
    }
    return NULL;
}

/* Prints the first of these values that the device has, and blanks up to the width. */
static void print_first(const char *device, const char *const pointers[], int width) {
    char *value = NULL;
    for (; value == NULL && *pointers != NULL; pointers++) {
        value = json_text(device, *pointers);
    }
    if (value != NULL) {
        print_safely(stdout, value);
        width -= (int)strlen(value);
    }
    printf("%*s", width > 0 ? width : 0, "");
    mde_string_free(value);
}

static void print_table(const char *json) {
    static const char *const state[] = {"/state", NULL};
    static const char *const name[] = {"/package/computer_name", "/action/computerDnsName", "/machine_id", NULL};
    /* Why there is no package, or where it is, or why the device was skipped. */
    static const char *const outcome[] = {"/error/message", "/package/path", "/problems", NULL};
    char *packages = json_text(json, "/packages"), *device, size[24];
    const char *at = packages != NULL ? packages : "";
    while ((device = next_object(&at)) != NULL) {
        print_first(device, state, 9);
        print_first(device, name, 41);
        print_first(device, outcome, 0);
        putchar('\n');
        free(device);
    }
    mde_string_free(packages);
    printf("%" PRIu64 " devices: %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " skipped, %" PRIu64
           " unfinished; %s\n", json_number(json, "/summary/devices", 0), json_number(json, "/summary/done", 0),
           json_number(json, "/summary/failed", 0), json_number(json, "/summary/skipped", 0),
           json_number(json, "/summary/unfinished", 0),
           size_text(size, sizeof size, json_number(json, "/summary/bytes", 0)));
}

/* ---- the job ---------------------------------------------------------------------------------- */

/*
 * Makes the call, and prints what became of each device. `devices` is NULL to resume the job in the folder.
 * Returns an exit code.
 */
static int fetch_all(const struct settings *s, const mde_client *client, const char *devices,
                     const mde_cancel *cancel) {
    /* Log lines would break up a line that is being redrawn. */
    struct display display = {.live = isatty(STDERR_FILENO) && s->log == NULL};
    char *json = NULL;
    int32_t status =
        mde_fetch_packages(client, devices, s->comment, s->out, on_progress, &display, cancel, &json);
    if (display.open) {
        fputc('\n', stderr);
    }
    /* A failure has the devices as well, unless there is no job. What was fetched is not hidden. */
    char *summary = json != NULL ? json_text(json, "/summary") : NULL;
    int has_job = summary != NULL;
    mde_string_free(summary);
    /* With --json, programs read stdout. */
    if (s->json && json != NULL) {
        puts(json);
    } else if (has_job) {
        print_table(json);
    }
    fflush(stdout);
    int code = status == MDE_OK ? EXIT_DONE : report(s, "fetching", status, json);
    if (has_job && json_number(json, "/summary/unfinished", 0) > 0) {
        fprintf(stderr, "fleet: run the same command to resume; without --list, the names are not looked up again\n");
    }
    if (ferror(stdout) && code == EXIT_DONE) {
        fprintf(stderr, "fleet: the packages are there, but stdout cannot be written\n");
        code = EXIT_FAILED;
    }
    mde_string_free(json);
    return code;
}

/* Everything but the settings. Returns an exit code. */
static int fleet(const struct settings *s, const mde_client *client) {
    struct devices found = {0};
    char *devices = NULL;
    mde_cancel *cancel = mde_cancel_new(0);
    if (cancel == NULL || interrupts_start(cancel) != 0) {
        fprintf(stderr, "fleet: cannot prepare for Ctrl-C\n");
        mde_cancel_free(cancel);
        return EXIT_FAILED;
    }
    int code = -1;
    if (s->list != NULL) {
        code = find_devices(s, client, cancel, &found);
        devices = code < 0 ? devices_document(&found) : NULL;
    }
    if (code < 0) {
        code = fetch_all(s, client, devices, cancel);
    }
    if (found.left_out > 0) {
        fprintf(stderr, "fleet: %d of the lines name no device, or several; see above\n", found.left_out);
        code = code == EXIT_DONE ? EXIT_FAILED : code;
    }
    /* Only after the output: until then a late Ctrl-C would end the program with the result unprinted. */
    interrupts_stop();
    free(devices);
    free(found.machines.at);
    free(found.checks.at);
    mde_cancel_free(cancel);
    return code;
}

int main(int argc, char **argv) {
    const char *out = from_environment("MDE_OUT");
    /* A job lasts hours, and days where devices are offline. Ctrl-C ends the call, or a limit of the user's. */
    struct settings s = {.program = "fleet", .usage = USAGE, .out = out != NULL ? out : ".", .many = 1,
                         .options = {"wait_timeout_ms=0"}, .option_count = 1};
    mde_client *client = NULL;
    int code = settings_read(&s, argc, argv);
    if (code < 0) {
        code = settings_client(&s, &client);
    }
    if (code < 0) {
        code = fleet(&s, client);
    }
    mde_client_free(client);
    return code;
}
