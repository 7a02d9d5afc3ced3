/* Counts what the library reports: the replies in its log, and how its calls end. */
#define _GNU_SOURCE

#include <sys/mman.h>

#include "soak.h"

/* The kinds of requests, by the names that the simulator gives them. */
static const char *const KIND_NAMES[] = {"collect", "read",  "list",     "cancel", "link",
                                         "machines", "token", "download", "other"};
enum { COLLECTS, READS, LISTS, CANCELS, LINKS, MACHINE_CALLS, TOKENS, DOWNLOADS, OTHERS, KINDS };

static const char *const OPERATION_NAMES[] = {"get",  "list",  "find",  "collect", "cancel",       "wait",
                                              "fetch", "fleet", "quota", "inspect", "check_access", "forked"};
static const char *const GROUP_NAMES[] = {"stopped", "steady", "checks"};

enum { HTTP_STATUSES = 600, STATUSES = 256, SHOWN = 8, TEXT = 300 };

struct tally {
    long replies[GROUPS][KINDS][HTTP_STATUSES];
    long calls[OPERATIONS][STATUSES];
    long asked;
    long stops;
    long lines;
    long numbers;
    long wrong;
    char shown[SHOWN][TEXT];
};

static struct tally *tally;
static __thread enum group group_of_thread;

static long add(long *count, long more) {
    return __atomic_fetch_add(count, more, __ATOMIC_RELAXED);
}

void tally_begin(void) {
    void *memory = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    tally = memory;
}

void tally_group(enum group group) {
    group_of_thread = group;
}

long next_number(void) {
    return add(&tally->numbers, 1);
}

static int ends_with(const char *path, const char *end, const char *what) {
    const size_t length = strlen(what);
    return (size_t)(end - path) >= length && strncmp(end - length, what, length) == 0;
}

/* The kind of "GET /api/machineactions/…" up to `end`. */
static int kind_of(const char *line, const char *end) {
    if (strncmp(line, "POST of a token request", 23) == 0) {
        return TOKENS;
    }
    if (strncmp(line, "GET the package from ", 21) == 0) {
        return DOWNLOADS;
    }
    const char *path = strstr(line, " /api/machine");
    if (path == NULL || path > end) {
        return OTHERS;
    }
    path += 1;
    if (ends_with(path, end, "/collectInvestigationPackage")) {
        return COLLECTS;
    }
    if (ends_with(path, end, "/getPackageUri")) {
        return LINKS;
    }
    if (ends_with(path, end, "/cancel")) {
        return CANCELS;
    }
    if (ends_with(path, end, "/api/machineactions")) {
        return LISTS;
    }
    return strncmp(path, "/api/machineactions/", 20) == 0 ? READS : MACHINE_CALLS;
}

/* One line per request has its reply; all other lines are of lower levels or have no reply in them. */
static void on_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    const char *reply = strstr(message, ": HTTP ");
    if (level != MDE_LOG_DEBUG || reply == NULL) {
        return;
    }
    const int status = atoi(reply + 7);
    if (status <= 0 || status >= HTTP_STATUSES || (leaks("reply") && add(&tally->lines, 1) % 50 == 49)) {
        return;
    }
    add(&tally->replies[group_of_thread][kind_of(message, reply)][status], 1);
}

void tally_log(void) {
    if (mde_log_set(on_line, NULL, NULL, MDE_LOG_DEBUG) != MDE_OK) {
        tally_wrong("the log was refused", NULL);
    }
}

void tally_wrong(const char *what, const char *json) {
    const long number = add(&tally->wrong, 1);
    if (number < SHOWN) {
        snprintf(tally->shown[number], TEXT, "%s: %.250s", what, json != NULL ? json : "");
    }
}

void tally_call(enum operation operation, int32_t status, char *json) {
    if (status < 0 || status >= STATUSES) {
        tally_wrong("a status that is none", json);
    } else {
        add(&tally->calls[operation][status], 1);
    }
    if (status == MDE_ERR_CANCELLED || status == MDE_ERR_DEADLINE) {
        /* A call over many devices may have some downloads under way, and a request of its own. */
        add(&tally->stops, operation == FLEET ? 5 : 1);
        if (group_of_thread == STEADY) {
            tally_wrong("a call ended that nobody stopped", json);
        }
    }
    if (!(leaks("string") && next_number() % 10 == 0)) {
        mde_string_free(json);
    }
}

void tally_asked(int devices) {
    add(&tally->asked, devices);
}

void tally_print(void) {
    for (int group = 0; group < GROUPS; group++) {
        for (int kind = 0; kind < KINDS; kind++) {
            for (int status = 0; status < HTTP_STATUSES; status++) {
                const long count = tally->replies[group][kind][status];
                if (count > 0) {
                    printf("reply %s %s %d %ld\n", GROUP_NAMES[group], KIND_NAMES[kind], status, count);
                }
            }
        }
    }
    for (int operation = 0; operation < OPERATIONS; operation++) {
        for (int status = 0; status < STATUSES; status++) {
            const long count = tally->calls[operation][status];
            if (count > 0) {
                printf("call %s %s %ld\n", OPERATION_NAMES[operation], mde_status_name(status), count);
            }
        }
    }
    printf("stops %ld\nasked %ld\nwrong %ld\n", tally->stops, tally->asked, tally->wrong);
    for (long n = 0; n < tally->wrong && n < SHOWN; n++) {
        printf("  %s\n", tally->shown[n]);
    }
}
