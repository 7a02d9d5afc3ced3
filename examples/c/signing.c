/*
 * The code that programs with a key of their own share. See signing.h.
 */
#include "signing.h"

#include <stdio.h>
#include <stdlib.h>

const char *setting(const char *name) {
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0') {
        fprintf(stderr, "%s: %s is not set\n", program, name);
        exit(2);
    }
    return value;
}

/* Returns the exit code. */
static int report(int32_t status, char *json) {
    fprintf(stderr, "%s: %s\n", program, json != NULL ? json : mde_status_name(status));
    mde_string_free(json);
    return 1;
}

int list_actions(mde_sign_fn sign, void *key) {
    const char *more = getenv("MDE_OPTIONS");
    const char *const pairs[][2] = {
        {"tenant_id", setting("MDE_TENANT_ID")},
        {"client_id", setting("MDE_CLIENT_ID")},
        {"client_certificate", setting("MDE_CERTIFICATE")},
    };
    mde_options *options = mde_options_new();
    mde_client *client = NULL;
    char *json = NULL;
    int32_t status = mde_options_set_json(options, more != NULL ? more : "{}", &json);
    for (size_t at = 0; status == MDE_OK && at < sizeof pairs / sizeof pairs[0]; at++) {
        status = mde_options_set(options, pairs[at][0], pairs[at][1], &json);
    }
    if (status == MDE_OK) {
        status = mde_options_set_signer(options, sign, key, NULL);
    }
    if (status == MDE_OK) {
        status = mde_client_new(options, &client, &json);
    }
    mde_options_free(options);
    if (status == MDE_OK) {
        status = mde_list_actions(client, "", NULL, &json);
    }
    mde_client_free(client);
    if (status != MDE_OK) {
        return report(status, json);
    }
    puts(json);
    mde_string_free(json);
    return 0;
}
