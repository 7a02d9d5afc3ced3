/*
 * A job over several devices: stopped, resumed, read meanwhile and afterwards.
 *
 *     fleet FOLDER
 */
#include <pthread.h>

#include "service.h"

/* A job, and what its progress callback has seen. */
struct job {
    const mde_client *client;
    const char *folder;
    const char *devices;
    pthread_t thread;
    int fleet;
    int ended;
    int downloads;
    /* The callback stops the call when so many devices have ended; 0 for never. */
    int stops_after;
};

static mde_client *new_client(void) {
    mde_options *options = service_options();
    set(options, "poll_interval_ms", "100");
    /* Two links a minute would make this wait. */
    set(options, "quota_limits", "collect=9999/60;read=9999/60;list=9999/60;link=9999/60");
    set(options, "downloads_at_once", "2");
    return client_from(options);
}

static int32_t on_progress(void *user_data, const char *event) {
    struct job *job = user_data;
    CHECK(pthread_equal(job->thread, pthread_self()), "another thread: %s", event);
    char *machine_id = value_at(event, "/machine_id");
    if (value_is(event, "/stage", "fleet")) {
        job->fleet++;
        CHECK(machine_id == NULL && value_is(event, "/devices", "4"), "%s", event);
        if (job->fleet == 1) {
            /* It may use the library: this job is taken, and can be read. */
            char *json = NULL;
            int32_t status =
                mde_fetch_packages(job->client, job->devices, "why", job->folder, NULL, NULL, NULL, &json);
            CHECK(value_is(json, "/error/retryable", "true"), "%s", json);
            expect_error("a second call for a folder", status, json, MDE_ERR_FILE, "another call");
            status = mde_read_packages(job->folder, &json);
            CHECK(value_is(json, "/summary/devices", "4"), "%s", json);
            expect_ok("mde_read_packages in a callback", status, json);
        }
    } else {
        CHECK(machine_id != NULL && strlen(machine_id) == 40, "%s", event);
        job->downloads += value_is(event, "/stage", "download");
        if (value_is(event, "/stage", "ended")) {
            job->ended++;
            CHECK(value_is(event, "/state", "done") || value_is(event, "/error/name", "not_found"), "%s", event);
        }
    }
    mde_string_free(machine_id);
    return job->stops_after > 0 && job->ended >= job->stops_after;
}

/* How many devices are in a state. */
static int in_state(const char *json, const char *state) {
    int count = 0;
    for (int n = 0; n < 5; n++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/packages/%d/state", n);
        count += value_is(json, pointer, state);
    }
    return count;
}

/* The actions of the first document are those of the second: no device was asked twice. */
static void same_actions(const char *before, const char *after) {
    for (int n = 0; n < MACHINES; n++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/packages/%d/action/id", n);
        char *action = value_at(before, pointer);
        CHECK(action == NULL || value_is(after, pointer, action), "%s\n%s", before, after);
        mde_string_free(action);
    }
}

static void stopped_and_resumed(struct job *job) {
    char *json = NULL;
    char *stopped = NULL;
    job->stops_after = 1;
    int32_t status = mde_fetch_packages(job->client, job->devices, "case 4711", job->folder, on_progress, job, NULL,
                                        &stopped);
    CHECK(job->ended == 1 && job->fleet > 0, "%d ended, %d of all", job->ended, job->fleet);
    CHECK(status == MDE_ERR_CANCELLED && value_is(stopped, "/error/name", "cancelled"), "%s", stopped);
    CHECK(in_state(stopped, "done") >= 1 && value_is(stopped, "/summary/devices", "4"), "%s", stopped);

    /* Another client, as after a restart. */
    mde_client *client = new_client();
    mde_cancel *cancel = mde_cancel_new(1);
    status = mde_fetch_packages(client, NULL, "case 4711", job->folder, NULL, NULL, cancel, &json);
    expect_error("no time", status, json, MDE_ERR_DEADLINE, "");
    mde_cancel_free(cancel);
    job->client = client;
    job->stops_after = 0;
    status = mde_fetch_packages(client, NULL, "case 4711", job->folder, on_progress, job, NULL, &json);
    CHECK(in_state(json, "done") == 4 && value_is(json, "/summary/done", "4"), "%s", json);
    CHECK(job->ended <= 4 && job->downloads > 0, "%d ended, %d downloads", job->ended, job->downloads);
    same_actions(stopped, json);
    char *document = json;
    CHECK(status == MDE_OK, "%s", json);

    status = mde_read_packages(job->folder, &json);
    CHECK(strcmp(json, document) == 0, "%s\n%s", json, document);
    expect_ok("mde_read_packages", status, json);
    /* Nothing is left to do. */
    status = mde_fetch_packages(client, job->devices, "case 4711", job->folder, NULL, NULL, NULL, &json);
    CHECK(strcmp(json, document) == 0, "%s\n%s", json, document);
    expect_ok("once more", status, json);
    CHECK(mde_fetch_packages(client, "[]", "case 4711", job->folder, NULL, NULL, NULL, NULL) == MDE_OK, "no document");
    mde_string_free(document);
    mde_string_free(stopped);
    mde_client_free(client);
}

/* What is there is in the document of a failure, too. */
static void incomplete(const char *folder) {
    char *json = NULL;
    mde_client *client = new_client();
    int32_t status = mde_fetch_packages(client, "[\"0123456789012345678901234567890123456789\"]", "why", folder, NULL,
                                        NULL, NULL, &json);
    CHECK(in_state(json, "done") == 4 && in_state(json, "failed") == 1, "%s", json);
    CHECK(value_is(json, "/packages/4/error/name", "not_found"), "%s", json);
    CHECK(value_is(json, "/summary/failed", "1") && value_is(json, "/summary/devices", "5"), "%s", json);
    expect_error("an unknown device", status, json, MDE_ERR_INCOMPLETE, "4 of 5");
    /* That it is known to be so is no failure. */
    status = mde_read_packages(folder, &json);
    CHECK(in_state(json, "failed") == 1, "%s", json);
    expect_ok("mde_read_packages", status, json);
    mde_client_free(client);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        return 2;
    }
    char devices[256];
    snprintf(devices, sizeof devices, "[\"%s\",\"%s\",{\"machine_id\":\"%s\",\"comment\":\"own\"},\"%s\"]", machine(0),
             machine(1), machine(2), machine(3));
    struct job job = {new_client(), argv[1], devices, pthread_self(), 0, 0, 0, 0};
    mde_client *first = (mde_client *)job.client;
    stopped_and_resumed(&job);
    mde_client_free(first);
    incomplete(argv[1]);
    return finish();
}
