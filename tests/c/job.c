#include "job.h"

static const char NO_ACTION[] = "00000000-0000-4000-8000-000000000000";

struct job job_new(const char *does, const char *path, char **settings, int count) {
    mde_options *options = service_options();
    /* The host's own patience is longer than the test's. */
    set(options, "connect_timeout_ms", "30000");
    for (int i = 0; i < count; i++) {
        char *value = strchr(settings[i], '=');
        *value = '\0';
        set(options, settings[i], value + 1);
    }
    struct job job = {client_from(options), does, path, NULL};
    char *json = NULL;
    if (strcmp(does, "read") != 0) {
        int32_t status = mde_collect_package(job.client, machine(0), "why", NULL, &json);
        job.action = value_at(json, "/action/id");
        expect_ok("mde_collect_package", status, json);
    }
    if (strcmp(does, "download") == 0) {
        int32_t status = mde_wait_action(job.client, job.action, NULL, NULL, NULL, &json);
        expect_ok("mde_wait_action", status, json);
    }
    return job;
}

int32_t job_run(const struct job *job, const mde_cancel *cancel, char **json) {
    if (strcmp(job->does, "collect") == 0) {
        return mde_collect_package(job->client, machine(1), "why", cancel, json);
    }
    if (strcmp(job->does, "wait") == 0) {
        return mde_wait_action(job->client, job->action, NULL, NULL, cancel, json);
    }
    if (strcmp(job->does, "download") == 0) {
        return mde_download_package(job->client, job->action, job->path, NULL, NULL, cancel, json);
    }
    return mde_get_action(job->client, NO_ACTION, cancel, json);
}

void job_free(struct job *job) {
    mde_string_free(job->action);
    mde_client_free(job->client);
}
