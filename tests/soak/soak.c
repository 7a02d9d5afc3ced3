/*
 * The library as a host that runs for months uses it, in rounds. Threads come and go, clients are made and freed, calls
 * are stopped, and children are forked. After each round nothing runs, and it prints what the process has then. At
 * the end it prints what the library has reported.
 *
 *     soak FOLDER SECONDS ROUND_MS
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "soak.h"

struct soak soak;

int leaks(const char *what) {
    return soak.leak != NULL && strstr(soak.leak, what) != NULL;
}

/* All devices of the simulator. */
static void find_devices(void) {
    char *json = NULL;
    tally_group(STEADY);
    const int32_t status = mde_find_machines(soak.kept, "filter:startswith(computerDnsName,'device-')", NULL, &json);
    for (int n = 0; n < DEVICES; n++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/machines/%d/id", n);
        char *id = status == MDE_OK ? value_at(json, pointer) : NULL;
        if (id == NULL) {
            printf("FAILED: device %d: %.500s\n", n, json);
            exit(1);
        }
        /* The one whose requests are never answered has no place there. */
        const char *device = strcmp(id, stalled_machine()) == 0 ? soak.devices[0] : id;
        snprintf(soak.devices[n], sizeof soak.devices[n], "%s", device);
        mde_string_free(id);
    }
    tally_call(FIND, status, json);
}

/* Sleeps until the next step is due, or the round is over. */
static int is_due(const struct worker *worker) {
    const long paced = worker->made - worker->burst;
    const int64_t due = soak.round_began + (paced <= 0 ? 0 : (int64_t)((double)paced / worker->rate * 1000));
    const int64_t until = due < soak.round_ends ? due : soak.round_ends;
    const int64_t now = now_ms();
    if (until > now) {
        sleep_ms((int)(until - now));
    }
    return now_ms() < soak.round_ends;
}

/* A thread for some steps. */
static void *some_steps(void *argument) {
    struct worker *worker = argument;
    tally_group(worker->group);
    for (int n = 0; n < 10 && is_due(worker); n++) {
        worker->step(worker);
        worker->made++;
    }
    return NULL;
}

/* One thread after the other. */
static void *work(void *argument) {
    struct worker *worker = argument;
    while (now_ms() < soak.round_ends) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, some_steps, worker) != 0) {
            tally_wrong("no thread", NULL);
            break;
        }
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void *sleep_for_ever(void *argument) {
    for (;;) {
        pause();
    }
    return argument;
}

/* What is forgotten on purpose in each round. */
static void leak_something(void) {
    char path[PATH];
    pthread_t thread;
    if (leaks("descriptor") && open("/dev/null", O_RDONLY) < 0) {
        perror("open");
    }
    if (leaks("thread") && pthread_create(&thread, NULL, sleep_for_ever, NULL) == 0) {
        pthread_detach(thread);
    }
    if (leaks("file")) {
        snprintf(path, sizeof path, "%s/temp/forgotten-%ld", soak.folder, next_number());
        close(open(path, O_WRONLY | O_CREAT, 0600));
    }
}

/*
 * The steps, how often, and in how many threads each. In each round they first take all that a minute of the quota allows,
 * and then about what an hour does.
 */
static const struct {
    struct worker worker;
    int threads;
} PLAN[] = {
    {{step_get, STEADY, 40, 4, 0, NULL, 0}, 2},
    {{step_list, STEADY, 100, 11, 0, NULL, 0}, 1},
    {{step_find, STEADY, 100, 14, 0, NULL, 0}, 1},
    {{step_cancel, STEADY, 45, 7, 0, NULL, 0}, 2},
    {{step_collect, STOPPED, 10, 2, 0, NULL, 0}, 10},
    {{step_stalled, STOPPED, 1, 2, 0, NULL, 0}, 1},
    {{step_new_client, STEADY, 1, 2, 0, NULL, 0}, 1},
    {{step_check_access, CHECKS, 1, 0.2, 0, NULL, 0}, 1},
    {{step_fork, STOPPED, 1, 1, 0, NULL, 0}, 1},
    {{step_fetch, STOPPED, 1, 1, 0, NULL, 0}, 2},
    {{step_fleet, STOPPED, 1, 1, 0, NULL, 0}, 1},
};
enum { KINDS_OF_WORK = sizeof PLAN / sizeof PLAN[0], MOST = 32 };

static void run_round(int length_ms) {
    static struct worker workers[MOST];
    pthread_t threads[MOST];
    int count = 0;
    soak.round_began = now_ms();
    soak.round_ends = soak.round_began + length_ms;
    for (int kind = 0; kind < KINDS_OF_WORK; kind++) {
        for (int n = 0; n < PLAN[kind].threads; n++, count++) {
            const long made = workers[count].made;
            workers[count] = PLAN[kind].worker;
            workers[count].number = count;
            workers[count].client = workers[count].group == STOPPED ? soak_client(STOPPED) : soak.kept;
            /* So that every other step is another one in each round. */
            workers[count].made = made % 2;
        }
    }
    for (int n = 0; n < count; n++) {
        if (pthread_create(&threads[n], NULL, work, &workers[n]) != 0) {
            printf("FAILED: no thread\n");
            exit(1);
        }
    }
    for (int n = 0; n < count; n++) {
        pthread_join(threads[n], NULL);
        if (workers[n].client != soak.kept) {
            mde_client_free(workers[n].client);
        }
    }
    leak_something();
}

int main(int argc, char **argv) {
    char path[PATH];
    if (argc != 4) {
        return 2;
    }
    soak.folder = argv[1];
    soak.leak = getenv("MDE_SOAK_LEAK");
    const int64_t ends = now_ms() + atoll(argv[2]) * 1000;
    snprintf(path, sizeof path, "%s/temp", soak.folder);
    if (mkdir(path, 0700) != 0 || setenv("TMPDIR", path, 1) != 0) {
        perror(path);
        return 1;
    }
    /* Forked children must not print it again. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    tally_begin();
    tally_log();
    soak.kept = soak_client(STEADY);
    find_devices();
    resources_print("begin");
    for (int round = 1; now_ms() < ends; round++) {
        char when[16];
        run_round(atoi(argv[3]));
        snprintf(when, sizeof when, "%d", round);
        resources_print(when);
    }
    mde_client_free(soak.kept);
    soak.kept = NULL;
    resources_print("end");
    mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF);
    tally_print();
    return finish();
}
