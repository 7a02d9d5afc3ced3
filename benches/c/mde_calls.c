/* The job through libmde. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "mde.h"

static int failed(const char *what, int32_t status, char *json)
{
    fprintf(stderr, "mde: %s: %s %s\n", what, mde_status_name(status), json ? json : "");
    mde_string_free(json);
    return 1;
}

static mde_client *make_client(const struct job *job)
{
    /* More room than a run needs: the limiter keeps its call log, but no call waits. */
    const char *const set[][2] = {
        {"api_url", job->url},
        {"access_token", job->token},
        {"quota_limits", "read=1000000/60,1000000/3600;collect=1000000/60,1000000/3600"},
        {"ca_file", strncmp(job->url, "https:", 6) == 0 ? job->ca : NULL},
    };
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    char *json = NULL;
    int32_t status = MDE_OK;
    size_t i;

    for (i = 0; i < sizeof set / sizeof set[0] && status == MDE_OK; i++) {
        if (set[i][1] == NULL)
            continue;
        mde_string_free(json);
        status = mde_options_set(options, set[i][0], set[i][1], &json);
    }
    if (status == MDE_OK) {
        mde_string_free(json);
        status = mde_client_new(options, &client, &json);
    }
    mde_options_free(options);
    if (status != MDE_OK)
        failed("setting up", status, json);
    else
        mde_string_free(json);
    return client;
}

static int call(const mde_client *client, int collect)
{
    char *json = NULL;
    int32_t status = collect ? mde_collect_package(client, MACHINE_ID, COMMENT, NULL, &json)
                             : mde_get_action(client, ACTION_ID, NULL, &json);

    if (status != MDE_OK)
        return failed("calling", status, json);
    mde_string_free(json);
    return 0;
}

int bench_run(const struct job *job)
{
    int fresh = strcmp(job->mode, "fresh") == 0;
    int collect = strcmp(job->mode, "collect") == 0;
    mde_client *client = NULL;
    int bad = 0;
    long i;

    for (i = 0; i < job->count && !bad; i++) {
        if (client == NULL && (client = make_client(job)) == NULL)
            return 1;
        bad = call(client, collect);
        if (fresh) {
            mde_client_free(client);
            client = NULL;
        }
    }
    mde_client_free(client);
    return bad;
}
