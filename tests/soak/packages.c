/* Packages on disk: one device at a time, and jobs over a few. */
#define _GNU_SOURCE

#include <sys/stat.h>
#include <unistd.h>

#include "soak.h"

enum { FOR_FETCHES = 200, FOR_JOBS = 230, JOB = 3 };

/* A new folder for one call. */
static void new_folder(char path[PATH], const char *what) {
    snprintf(path, PATH, "%s/%s-%ld", soak.folder, what, next_number());
    if (mkdir(path, 0700) != 0) {
        tally_wrong("no folder", path);
    }
}

/* Of a call that has succeeded nothing but what it has made may be left. */
static void is_empty_now(const char *path) {
    if (rmdir(path) != 0) {
        tally_wrong("a file was left in", path);
        remove_folder(path);
    }
}

void step_fetch(struct worker *worker) {
    char folder[PATH], path[PATH + 16], kept[PATH], comment[64], *json = NULL;
    new_folder(folder, "fetch");
    snprintf(path, sizeof path, "%s/p.zip", folder);
    snprintf(kept, sizeof kept, "%s/kept.zip", soak.folder);
    const long number = next_number();
    snprintf(comment, sizeof comment, "soak %ld", number);
    const char *device = soak.devices[FOR_FETCHES + number % (FOR_JOBS - FOR_FETCHES)];
    mde_cancel *cancel = until_the_round_ends();
    tally_asked(1);
    const int32_t status = mde_fetch_package(worker->client, device, comment, path, NULL, NULL, cancel, &json);
    tally_call(FETCH, status, json);
    mde_cancel_free(cancel);
    if (status != MDE_OK) {
        remove_folder(folder);
        return;
    }
    /* The first one is kept, to be inspected. */
    if (access(kept, F_OK) == 0 || rename(path, kept) != 0) {
        unlink(path);
    }
    is_empty_now(folder);
}

struct job {
    mde_cancel *cancel;
    int stops;
};

static int32_t on_progress(void *user_data, const char *event) {
    struct job *job = user_data;
    return job->stops && strstr(event, "\"stage\":\"ended\"") != NULL;
}

static int32_t run(mde_client *client, const char *devices, const char *folder, int stops, char **json) {
    struct job job = {until_the_round_ends(), stops};
    *json = NULL;
    const int32_t status = mde_fetch_packages(client, devices, "soak", folder, on_progress, &job, job.cancel, json);
    mde_cancel_free(job.cancel);
    return status;
}

/* A job over three devices. Every other one is stopped at its first package and resumed by another client. */
void step_fleet(struct worker *worker) {
    char folder[PATH], devices[JOB * 128], *json = NULL;
    size_t length = 0;
    const long first = next_number() * JOB;
    new_folder(folder, "job");
    for (int n = 0; n < JOB; n++) {
        const long number = next_number();
        const char *device = soak.devices[FOR_JOBS + (first + n) % (DEVICES - FOR_JOBS)];
        length += (size_t)snprintf(devices + length, sizeof devices - length,
                                   "%s{\"machine_id\":\"%s\",\"comment\":\"soak %ld\",\"file\":\"%d.zip\"}",
                                   n == 0 ? "[" : ",", device, number, n);
    }
    snprintf(devices + length, sizeof devices - length, "]");
    tally_asked(JOB);
    int32_t status = run(worker->client, devices, folder, worker->made % 2 == 1, &json);
    tally_call(FLEET, status, json);
    if (status == MDE_ERR_CANCELLED) {
        mde_client *another = soak_client(STOPPED);
        status = run(another, NULL, folder, 0, &json);
        tally_call(FLEET, status, json);
        mde_client_free(another);
    }
    if (status != MDE_OK) {
        remove_folder(folder);
        return;
    }
    static const char *const made[] = {"0.zip",           "1.zip",
                                       "2.zip",           "fleet.journal",
                                       "packages.jsonl",  "packages.jsonl.sha256",
                                       "SHA256SUMS"};
    for (size_t n = 0; n < sizeof made / sizeof made[0]; n++) {
        char path[PATH + 16];
        snprintf(path, sizeof path, "%s/%s", folder, made[n]);
        if (unlink(path) != 0) {
            tally_wrong("a job without", path);
        }
    }
    is_empty_now(folder);
}
