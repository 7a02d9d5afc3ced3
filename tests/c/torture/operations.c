/* The operations: each makes a client, does one thing and frees the client. */
#define _POSIX_C_SOURCE 200809L

#include "support.h"

#include <pthread.h>
#include <time.h>

#include "torture/operations.h"

static char *action;
static int warned;

void operation_uses(char *where) {
    action = where;
}

int quota_warned(void) {
    return __atomic_load_n(&warned, __ATOMIC_SEQ_CST);
}

static void on_line(void *user_data, int32_t level, const char *line) {
    (void)user_data;
    (void)level;
    if (strstr(line, "quota_file") != NULL) {
        __atomic_store_n(&warned, 1, __ATOMIC_SEQ_CST);
    }
}

/* A client. Waits are a hundred times as fast, so the limits of silence are long. */
static int32_t client_of(const char *url, int retries, const char *more, mde_client **client, char **json) {
    /* Room for two paths. */
    char settings[2048];
    snprintf(settings, sizeof settings,
             "{\"api_url\":\"%s\",\"login_url\":\"%s\",\"tenant_id\":\"%s\",\"client_id\":\"%s\",\"client_secret\":\"%s\","
             "\"proxy\":\"none\",\"connect_timeout_ms\":3600000,\"idle_timeout_ms\":3600000,\"poll_interval_ms\":100,"
             "\"timeout_ms\":300000,\"wait_timeout_ms\":600000,\"max_retries\":%d%s}",
             url, url, getenv("MDE_TEST_TENANT"), getenv("MDE_TEST_CLIENT"), getenv("MDE_TEST_SECRET"), retries, more);
    mde_options *options = mde_options_new();
    int32_t status = mde_options_set_json(options, settings, json);
    if (status == MDE_OK) {
        status = mde_client_new(options, client, json);
    }
    mde_options_free(options);
    return status;
}

static int32_t new_client(const struct run *run, const char *more, mde_client **client, char **json) {
    return client_of(getenv("MDE_TEST_URL"), run->retries, more, client, json);
}

/* A device that the service does not have, and an action. */
static const char NOWHERE[] = "0123456789012345678901234567890123456789";
static const char NOTHING[] = "00000000-0000-4000-8000-000000000000";

enum { THREADS = 6 };

static pthread_barrier_t all_run;

static void *run_with_the_others(void *nothing) {
    pthread_barrier_wait(&all_run);
    return nothing;
}

/* The C library keeps the stacks of threads that have ended, and some memory with each. */
static void fill_stacks(void) {
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    /* As the library has them. */
    pthread_attr_setstacksize(&attributes, 2 << 20);
    pthread_barrier_init(&all_run, NULL, THREADS);
    for (int n = 0; n < THREADS; n++) {
        if (pthread_create(&threads[n], &attributes, run_with_the_others, NULL) != 0) {
            abort();
        }
    }
    for (int n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
    }
    pthread_barrier_destroy(&all_run);
    pthread_attr_destroy(&attributes);
}

void touch_everything(const struct run *run) {
    mde_client *client = NULL;
    fill_stacks();
    /* Nothing listens there. */
    if (client_of("http://127.0.0.1:1", 1, "", &client, NULL) == MDE_OK) {
        mde_collect_package(client, NOWHERE, "why", NULL, NULL);
    }
    mde_client_free(client);
    /* The limiter of the process counts each kind of request by itself. */
    if (new_client(run, "", &client, NULL) == MDE_OK) {
        mde_get_action(client, NOTHING, NULL, NULL);
        mde_list_actions(client, "id eq 00000000-0000-4000-8000-000000000000", NULL, NULL);
    }
    mde_client_free(client);
}

/* As many links as are needed: the quota of the service would only make this slow. */
static const char LINKS[] = ",\"quota_limits\":\"link=99/60\"";

static int32_t collect_with(const struct run *run, const char *more, char **json) {
    mde_client *client = NULL;
    int32_t status = new_client(run, more, &client, json);
    if (status == MDE_OK) {
        status = mde_collect_package(client, run->machines[0], run->name, NULL, json);
    }
    mde_client_free(client);
    return status;
}

static int32_t collect(const struct run *run, char **json) {
    return collect_with(run, "", json);
}

/* The same with a name in place of the address, which a thread looks up. */
static int32_t look_up(const struct run *run, char **json) {
    char url[64];
    mde_client *client = NULL;
    snprintf(url, sizeof url, "http://localhost%s", strrchr(getenv("MDE_TEST_URL"), ':'));
    int32_t status = client_of(url, run->retries, "", &client, json);
    if (status == MDE_OK) {
        status = mde_collect_package(client, run->machines[0], run->name, NULL, json);
    }
    mde_client_free(client);
    return status;
}

/* Leaves the action for the call. */
static int32_t collect_first(const struct run *run, char **json) {
    int32_t status = collect(run, json);
    char *id = value_at(*json, "/action/id");
    if (id != NULL) {
        strncpy(action, id, 36);
    }
    mde_string_free(id);
    return status;
}

static const char *with_quota_file(const struct run *run, char *more, size_t size) {
    snprintf(more, size,
             ",\"quota_file\":\"%s/quota\",\"quota_limits\":"
             "\"collect=20/60;read=20/60;list=20/60;cancel=20/60;link=20/60;machines=20/60\"",
             run->folder);
    return more;
}

static int32_t collect_in_quota_file(const struct run *run, char **json) {
    char more[512];
    mde_log_set(on_line, NULL, NULL, MDE_LOG_WARN);
    return collect_with(run, with_quota_file(run, more, sizeof more), json);
}

long quota_used(const struct run *run) {
    char more[512];
    char *json = NULL;
    mde_client *client = NULL;
    long used = -1;
    int32_t status = new_client(run, with_quota_file(run, more, sizeof more), &client, &json);
    if (status == MDE_OK) {
        status = mde_get_quota(client, &json);
    }
    if (status == MDE_OK && value_is(json, "/quotas/0/endpoint", "collect") && value_is(json, "/log/kind", "file")) {
        char *text = value_at(json, "/quotas/0/used");
        used = text != NULL ? atol(text) : -1;
        mde_string_free(text);
    }
    mde_string_free(json);
    mde_client_free(client);
    return used;
}

static int32_t wait_for_action(const struct run *run, char **json) {
    mde_client *client = NULL;
    int32_t status = new_client(run, "", &client, json);
    if (status == MDE_OK) {
        status = mde_wait_action(client, action, NULL, NULL, NULL, json);
    }
    mde_client_free(client);
    return status;
}

static void package_path(const struct run *run, char *path, size_t size) {
    snprintf(path, size, "%s/p.zip", run->folder);
}

static int32_t download(const struct run *run, char **json) {
    char path[256];
    mde_client *client = NULL;
    package_path(run, path, sizeof path);
    int32_t status = new_client(run, LINKS, &client, json);
    if (status == MDE_OK) {
        status = mde_download_package(client, action, path, NULL, NULL, NULL, json);
    }
    mde_client_free(client);
    return status;
}

/* Lets some bytes arrive, and stops the download then. */
static int32_t stop_after_bytes(void *user_data, const char *event) {
    (void)user_data;
    char *bytes = value_at(event, "/bytes");
    int have_come = bytes != NULL && atol(bytes) > 0;
    mde_string_free(bytes);
    if (!have_come) {
        /* The next event comes a tenth of a second later. */
        struct timespec pause = {0, 300000000};
        nanosleep(&pause, NULL);
    }
    return have_come && value_is(event, "/stage", "download");
}

/* Leaves the action, and a part of its package. */
static int32_t download_a_part(const struct run *run, char **json) {
    char path[256];
    mde_client *client = NULL;
    int32_t status = collect_first(run, json);
    mde_string_free(*json);
    *json = NULL;
    package_path(run, path, sizeof path);
    if (status == MDE_OK) {
        status = new_client(run, LINKS, &client, json);
    }
    if (status == MDE_OK) {
        status = mde_download_package(client, action, path, stop_after_bytes, NULL, NULL, json);
    }
    mde_client_free(client);
    return status == MDE_ERR_CANCELLED && bytes_there(run) > 0 ? MDE_OK : MDE_ERR_INTERNAL;
}

static int32_t fetch(const struct run *run, char **json) {
    char path[256];
    char more[512];
    mde_client *client = NULL;
    package_path(run, path, sizeof path);
    snprintf(more, sizeof more, "%s,\"record\":\"%s/record.jsonl\"", LINKS, run->folder);
    int32_t status = new_client(run, more, &client, json);
    if (status == MDE_OK) {
        status = mde_fetch_package(client, run->machines[0], run->name, path, NULL, NULL, NULL, json);
    }
    mde_client_free(client);
    return status;
}

static int32_t fleet(const struct run *run, char **json) {
    char devices[128];
    mde_client *client = NULL;
    snprintf(devices, sizeof devices, "[\"%s\",\"%s\"]", run->machines[0], run->machines[1]);
    int32_t status = new_client(run, LINKS, &client, json);
    if (status == MDE_OK) {
        status = mde_fetch_packages(client, devices, run->name, run->folder, NULL, NULL, NULL, json);
    }
    mde_client_free(client);
    return status;
}

static int32_t inspect(const struct run *run, char **json) {
    (void)run;
    return mde_inspect_package(getenv("MDE_TORTURE_PACKAGE"), NULL, NULL, NULL, json);
}

static const struct operation OPERATIONS[] = {
    {"inspect", inspect, NULL, "", 0},
    {"collect", collect, NULL, "", 0},
    {"look-up", look_up, NULL, "", 0},
    {"wait", wait_for_action, collect_first, "", 0},
    {"download", download, collect_first, "", 1},
    {"resume", download, download_a_part, "", 1},
    {"fetch", fetch, NULL, "record.jsonl record.jsonl.sha256 SHA256SUMS", 1},
    {"fleet", fleet, NULL, "fleet.journal packages.jsonl packages.jsonl.sha256 SHA256SUMS", 2},
    {"new-quota-file", collect_in_quota_file, NULL, "quota", 0},
    {"quota-file", collect_in_quota_file, collect_in_quota_file, "quota", 0},
};

const struct operation *operation_of(const char *name) {
    for (size_t n = 0; n < sizeof OPERATIONS / sizeof OPERATIONS[0]; n++) {
        if (strcmp(OPERATIONS[n].name, name) == 0) {
            return &OPERATIONS[n];
        }
    }
    return NULL;
}
