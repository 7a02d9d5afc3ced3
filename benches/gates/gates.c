/*
 * What sends nothing, repeated, to count what it costs.
 *
 *     gates refused COUNT URL     calls for which the quota has no room: the limiter decides, and nothing is sent
 *     gates inspect COUNT PATH    checks of a package
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mde.h"

static int failed(const char *what, char *json)
{
    fprintf(stderr, "gates: %s: %s\n", what, json ? json : "");
    mde_string_free(json);
    return 1;
}

#define ACTION_ID "5382f7ea-7557-4ab7-9782-d50480024a4e"

/* A client whose quota has one slot an hour, which is taken. */
static mde_client *without_room(const char *url)
{
    const char *const set[][2] = {
        {"api_url", url},
        {"access_token", "eyJ0.eyJ0.x"},
        {"quota_limits", "read=1/3600"},
        {"quota", "fail"},
        {"proxy", "none"},
    };
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    char *json = NULL;
    size_t i;

    for (i = 0; i < sizeof set / sizeof set[0]; i++) {
        if (mde_options_set(options, set[i][0], set[i][1], &json) != MDE_OK)
            failed(set[i][0], json);
        json = NULL;
    }
    if (mde_client_new(options, &client, &json) != MDE_OK)
        failed("mde_client_new", json);
    mde_options_free(options);
    if (client != NULL && mde_get_action(client, ACTION_ID, NULL, &json) != MDE_OK)
        failed("mde_get_action", json);
    else
        mde_string_free(json);
    return client;
}

static int refused(long count, const char *url)
{
    mde_client *client = without_room(url);
    char *json = NULL;
    long i;

    for (i = 0; i < count && client != NULL; i++) {
        mde_status status = mde_get_action(client, ACTION_ID, NULL, &json);
        if (status != MDE_ERR_RATE_LIMITED)
            return failed(mde_status_name(status), json);
        mde_string_free(json);
        json = NULL;
    }
    mde_client_free(client);
    return client == NULL;
}

static int inspect(long count, const char *path)
{
    char *json = NULL;
    long i;

    for (i = 0; i < count; i++) {
        if (mde_inspect_package(path, NULL, NULL, NULL, &json) != MDE_OK)
            return failed("mde_inspect_package", json);
        mde_string_free(json);
        json = NULL;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "refused") == 0)
        return refused(strtol(argv[2], NULL, 10), argv[3]);
    if (argc == 4 && strcmp(argv[1], "inspect") == 0)
        return inspect(strtol(argv[2], NULL, 10), argv[3]);
    return fprintf(stderr, "usage: gates refused COUNT URL | gates inspect COUNT PATH\n"), 1;
}
