/* What the workers do over and over, but for packages on disk. */
#define _GNU_SOURCE

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soak.h"

/* Which devices are for what, so that no two kinds of work meet on one. */
enum { TO_COLLECT = 200 };

/* The latest actions, for those who read, cancel and wait. */
enum { LATEST = 32 };
static char latest[LATEST][37] = {"00000000-0000-4000-8000-000000000000"};
static int known = 1;
static int next_action;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void remember(const char *id) {
    pthread_mutex_lock(&lock);
    snprintf(latest[next_action], sizeof latest[0], "%s", id);
    next_action = (next_action + 1) % LATEST;
    known = known < next_action ? next_action : known;
    pthread_mutex_unlock(&lock);
}

static void recall(char id[37]) {
    const long number = next_number();
    pthread_mutex_lock(&lock);
    snprintf(id, 37, "%s", latest[number % known]);
    pthread_mutex_unlock(&lock);
}

mde_client *soak_client(enum group group) {
    static const char *const agents[] = {"soak-stopped", "soak-steady", "soak-checks"};
    char path[PATH];
    mde_options *options = service_options();
    mde_client *client = NULL;
    char *json = NULL;
    snprintf(path, sizeof path, "%s/quota", soak.folder);
    set(options, "quota_file", path);
    set(options, "quota_limits", required("MDE_SOAK_LIMITS"));
    set(options, "user_agent", agents[group]);
    set(options, "poll_interval_ms", "200");
    if (mde_client_new(options, &client, &json) != MDE_OK) {
        tally_wrong("no client", json);
    }
    mde_string_free(json);
    mde_options_free(options);
    return client;
}

mde_cancel *until_the_round_ends(void) {
    const int64_t left = soak.round_ends - now_ms();
    return mde_cancel_new(left > 1 ? (uint64_t)left : 1);
}

void step_get(struct worker *worker) {
    char id[37], *json = NULL;
    recall(id);
    const int32_t status = mde_get_action(worker->client, id, NULL, &json);
    tally_call(GET, status, json);
}

void step_list(struct worker *worker) {
    char filter[128], *json = NULL;
    snprintf(filter, sizeof filter, "machineId eq '%s'", soak.devices[next_number() % TO_COLLECT]);
    const int32_t status = mde_list_actions(worker->client, filter, NULL, &json);
    tally_call(LIST, status, json);
}

void step_find(struct worker *worker) {
    char name[32], *json = NULL;
    const long number = next_number() % DEVICES;
    snprintf(name, sizeof name, "device-%04ld", number + 1);
    const char *query = worker->made % 2 == 0 ? soak.devices[number] : name;
    const int32_t status = mde_find_machines(worker->client, query, NULL, &json);
    tally_call(FIND, status, json);
}

void step_cancel(struct worker *worker) {
    char id[37], *json = NULL;
    recall(id);
    const int32_t status = mde_cancel_action(worker->client, id, "soak", NULL, &json);
    tally_call(CANCEL, status, json);
}

/* Waits for an action, with others who do. */
static void wait_for(struct worker *worker, const char *id) {
    char *json = NULL;
    mde_cancel *cancel = until_the_round_ends();
    const int32_t status = mde_wait_action(worker->client, id, NULL, NULL, cancel, &json);
    tally_call(WAIT, status, json);
    mde_cancel_free(cancel);
}

void step_collect(struct worker *worker) {
    char comment[64], *json = NULL;
    const long number = next_number();
    snprintf(comment, sizeof comment, "soak %ld", number);
    mde_cancel *cancel = until_the_round_ends();
    tally_asked(1);
    const char *device = soak.devices[number % TO_COLLECT];
    const int32_t status = mde_collect_package(worker->client, device, comment, cancel, &json);
    char *id = status == MDE_OK ? value_at(json, "/action/id") : NULL;
    tally_call(COLLECT, status, json);
    if (leaks("collection") && worker->made % 10 == 0) {
        mde_collect_package(worker->client, soak.devices[(number + 100) % TO_COLLECT], comment, cancel, NULL);
    }
    mde_cancel_free(cancel);
    if (id != NULL) {
        remember(id);
        if (worker->made % 4 == 0) {
            wait_for(worker, id);
        }
    }
    mde_string_free(id);
}

static void *trigger_soon(void *argument) {
    sleep_ms(100);
    mde_cancel_trigger(argument);
    return NULL;
}

/* A request that is never answered, stopped in both ways. */
void step_stalled(struct worker *worker) {
    char *json = NULL;
    const int by_time = worker->made % 2 == 0;
    mde_cancel *cancel = mde_cancel_new(by_time ? 100 : 0);
    pthread_t thread;
    if (!by_time && pthread_create(&thread, NULL, trigger_soon, cancel) != 0) {
        tally_wrong("no thread", NULL);
        mde_cancel_free(cancel);
        return;
    }
    tally_asked(1);
    const int32_t status = mde_collect_package(worker->client, stalled_machine(), "stalled", cancel, &json);
    tally_call(COLLECT, status, json);
    if (!by_time) {
        pthread_join(thread, NULL);
    }
    mde_cancel_free(cancel);
}

/* A client for one moment. */
void step_new_client(struct worker *worker) {
    (void)worker;
    char path[PATH], id[37], *json = NULL;
    mde_client *client = soak_client(STEADY);
    if (client == NULL) {
        return;
    }
    recall(id);
    int32_t status = mde_get_action(client, id, NULL, &json);
    tally_call(GET, status, json);
    json = NULL;
    status = mde_get_quota(client, &json);
    tally_call(QUOTA, status, json);
    snprintf(path, sizeof path, "%s/kept.zip", soak.folder);
    if (access(path, F_OK) == 0) {
        json = NULL;
        status = mde_inspect_package(path, NULL, NULL, NULL, &json);
        tally_call(INSPECT, status, json);
    }
    mde_client_free(client);
}

void step_check_access(struct worker *worker) {
    char *json = NULL;
    mde_client *client = soak_client(CHECKS);
    (void)worker;
    const int32_t status = mde_check_access(client, NULL, &json);
    tally_call(CHECK_ACCESS, status, json);
    mde_client_free(client);
}

/* The client of the parent is refused, and one of its own works. Returns whether both is so. */
static int child_works(const char *id) {
    char *json = NULL;
    tally_log();
    tally_group(STOPPED);
    const int refused = mde_get_action(soak.kept, id, NULL, NULL) == MDE_ERR_FORKED;
    mde_client *own = soak_client(STOPPED);
    if (own == NULL) {
        return 0;
    }
    int32_t status = mde_get_action(own, id, NULL, &json);
    tally_call(FORKED, status, json);
    json = NULL;
    status = mde_list_actions(own, "type eq 'Isolate'", NULL, &json);
    tally_call(FORKED, status, json);
    mde_client_free(own);
    return refused;
}

/* A child of a process whose other threads are in the middle of calls. */
void step_fork(struct worker *worker) {
    char id[37];
    int status = 0;
    (void)worker;
    recall(id);
    const pid_t child = fork();
    if (child == 0) {
        /* A deadlock ends the child. */
        alarm(60);
        _exit(child_works(id) ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char text[64];
        snprintf(text, sizeof text, "wait status %x", (unsigned)status);
        tally_wrong("a forked child", text);
    }
}
