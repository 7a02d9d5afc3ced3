#define _POSIX_C_SOURCE 200809L

#include "service.h"

#include <time.h>

const char *machine(int n) {
    static char ids[MACHINES][41];
    const char *all = required("MDE_TEST_MACHINES");
    if (n >= MACHINES || strlen(all) < (size_t)(n + 1) * 41 - 1) {
        printf("FAILED: MDE_TEST_MACHINES has no machine %d\n", n);
        exit(1);
    }
    /* 40 digits each, with a blank between. */
    memcpy(ids[n], all + (size_t)n * 41, 40);
    return ids[n];
}

const char *stalled_machine(void) {
    return required("MDE_TEST_STALLED_MACHINE");
}

mde_options *service_options(void) {
    mde_options *options = mde_options_new();
    set(options, "api_url", required("MDE_TEST_URL"));
    set(options, "login_url", required("MDE_TEST_URL"));
    set(options, "tenant_id", required("MDE_TEST_TENANT"));
    set(options, "client_id", required("MDE_TEST_CLIENT"));
    set(options, "client_secret", required("MDE_TEST_SECRET"));
    return options;
}

mde_client *client_from(mde_options *options) {
    mde_client *client = NULL;
    char *json = NULL;
    if (mde_client_new(options, &client, &json) != MDE_OK) {
        printf("FAILED: no client: %s\n", json != NULL ? json : "no document");
        exit(1);
    }
    mde_string_free(json);
    mde_options_free(options);
    return client;
}

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(int ms) {
    struct timespec pause;
    pause.tv_sec = ms / 1000;
    pause.tv_nsec = (long)(ms % 1000) * 1000000;
    nanosleep(&pause, NULL);
}
