/*
 * Downloads one package: download API-URL ACTION-ID PATH CA-FILE
 *
 * Prints the seconds after the last byte: checking the zip, flushing it to the disk, and renaming it.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mde.h"

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int32_t on_progress(void *user_data, const char *event_json)
{
    double *arrived = user_data;

    if (*arrived == 0 && strstr(event_json, "\"stage\":\"verify\"") != NULL)
        *arrived = now();
    return 0;
}

static int failed(char *json)
{
    fprintf(stderr, "download: %s\n", json == NULL ? "failed" : json);
    mde_string_free(json);
    return 1;
}

int main(int argc, char **argv)
{
    const char *settings[][2] = {{"access_token", "eyJ0.eyJ0.x"}, {"quota_limits", "link=100000/60"}, {"proxy", "none"},
                                 {"api_url", argc > 1 ? argv[1] : ""}, {"ca_file", argc > 4 ? argv[4] : ""}};
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    char *json = NULL;
    double arrived = 0;
    size_t i;
    int32_t status;

    if (argc != 5)
        return fprintf(stderr, "usage: download API-URL ACTION-ID PATH CA-FILE\n"), 1;
    for (i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (mde_options_set(options, settings[i][0], settings[i][1], &json) != MDE_OK)
            return failed(json);
        mde_string_free(json);
    }
    if (mde_client_new(options, &client, &json) != MDE_OK)
        return failed(json);
    mde_string_free(json);
    status = mde_download_package(client, argv[2], argv[3], on_progress, &arrived, NULL, &json);
    if (status != MDE_OK)
        return failed(json);
    printf("%.3f\n", now() - arrived);
    mde_string_free(json);
    mde_client_free(client);
    mde_options_free(options);
    return 0;
}
