/*
 * Calls in the last moments: from the destructors of a thread, from atexit(), and from the destructors of the program.
 * Each finds the library as it was before, and prints a line.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <unistd.h>

#include "service.h"

static mde_client *client;
static pthread_key_t key;

/* _exit(): whatever fails here can no longer change the exit code of main(). */
static void expect_a_call_to_work(const char *moment) {
    char *json = NULL;
    /* Not on the connection of an earlier call, and with a token of its own. */
    mde_client *own = client_from(service_options());
    int32_t status = mde_list_actions(client, "", NULL, &json);
    if (status == MDE_OK) {
        mde_string_free(json);
        status = mde_find_machines(own, machine(0), NULL, &json);
    }
    if (status == MDE_OK) {
        printf("ok: %s\n", moment);
    } else {
        printf("FAILED: %s: %s\n", moment, json != NULL ? json : "no document");
        fflush(stdout);
        _exit(1);
    }
    fflush(stdout);
    mde_string_free(json);
    mde_client_free(own);
}

static void at_the_end_of_the_thread(void *round) {
    static int rounds[] = {1, 2, 3};
    int number = *(int *)round;
    /* The system runs destructors again for what they leave behind: the library has long lost its own by then. */
    expect_a_call_to_work(number == 1 ? "the end of a thread" : "the end of a thread, again");
    if (number < 3) {
        pthread_setspecific(key, &rounds[number]);
    }
}

static void *use_and_end(void *argument) {
    static int first = 1;
    char *json = NULL;
    (void)argument;
    pthread_setspecific(key, &first);
    int32_t status = mde_list_actions(client, "", NULL, &json);
    expect_ok("before the end of the thread", status, json);
    return NULL;
}

/* A thread that has never used the library before. */
static void *only_end(void *argument) {
    static int last = 3;
    (void)argument;
    pthread_setspecific(key, &last);
    return NULL;
}

static void at_exit(void) {
    expect_a_call_to_work("atexit");
}

__attribute__((destructor)) static void at_the_end_of_the_program(void) {
    expect_a_call_to_work("the end of the program");
    mde_client_free(client);
}

int main(void) {
    pthread_t thread;
    char *json = NULL;
    client = client_from(service_options());
    CHECK(pthread_key_create(&key, at_the_end_of_the_thread) == 0, "no key");
    CHECK(pthread_create(&thread, NULL, use_and_end, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
    CHECK(pthread_create(&thread, NULL, only_end, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
    int32_t status = mde_list_actions(client, "", NULL, &json);
    expect_ok("before the end", status, json);
    CHECK(atexit(at_exit) == 0, "no atexit");
    return finish();
}
