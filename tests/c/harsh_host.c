/* A difficult host: threads with small stacks, and signals with their default, deadly actions. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service.h"

/* What the README promises to be enough. */
enum { SMALL_STACK = 128 * 1024 };

struct job {
    const mde_client *client;
    const char *machine;
};

static void *collect_on_small_stack(void *argument) {
    const struct job *job = argument;
    char *json = NULL;
    int32_t status = mde_collect_package(job->client, job->machine, "small stack", NULL, &json);
    expect_ok("a collection on a small stack", status, json);
    status = mde_list_actions(job->client, "", NULL, &json);
    expect_ok("a list on a small stack", status, json);
    return NULL;
}

static void small_stack(void) {
    mde_options *options = service_options();
    const char *ca = getenv("MDE_TEST_CA");
    if (ca != NULL) {
        set(options, "ca_file", ca);
    }
    struct job job = {client_from(options), machine(0)};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, SMALL_STACK) == 0, "no such stack");
    CHECK(pthread_create(&thread, &attributes, collect_on_small_stack, &job) == 0, "no thread");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    mde_client_free((mde_client *)job.client);
}

/* Accepts connections, reads a little of each and resets it. */
static void *reset_everybody(void *argument) {
    const int listener = *(const int *)argument;
    const struct linger at_once = {1, 0};
    char some[1];
    int connection;
    while ((connection = accept(listener, NULL, NULL)) >= 0) {
        ssize_t ignored = read(connection, some, sizeof some);
        (void)ignored;
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(connection);
    }
    return NULL;
}

/* Writing to a connection that the peer has reset would end a host that has not ignored SIGPIPE. */
static void sigpipe(void) {
    signal(SIGPIPE, SIG_DFL);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    CHECK(listen(listener, 16) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_t thread;
    pthread_create(&thread, NULL, reset_everybody, &listener);

    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", (int)ntohs(address.sin_port));
    mde_options *options = mde_options_new();
    set(options, "access_token", "token");
    set(options, "api_url", url);
    set(options, "max_retries", "0");
    mde_client *client = client_from(options);
    char *comment = repeated('x', 32000);
    for (int i = 0; i < 50; i++) {
        char *json = NULL;
        /* The search for the collection that may have begun would last for ten seconds. */
        mde_cancel *cancel = mde_cancel_new(50);
        int32_t status = mde_collect_package(client, "device", comment, cancel, &json);
        CHECK(status != MDE_OK && json != NULL, "a reset connection succeeded");
        mde_cancel_free(cancel);
        mde_string_free(json);
    }
    free(comment);
    mde_client_free(client);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
}

static volatile sig_atomic_t ticks;

static void tick(int number) {
    (void)number;
    ticks++;
}

/* A host's own signals interrupt system calls all the time. */
static void interrupted(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = tick;
    sigaction(SIGALRM, &action, NULL);
    mde_options *options = service_options();
    const char *ca = getenv("MDE_TEST_CA");
    if (ca != NULL) {
        set(options, "ca_file", ca);
    }
    mde_client *client = client_from(options);
    const int64_t until = now_ms() + 500;
    while (now_ms() < until) {
        char *json = NULL;
        alarm(1);
        kill(getpid(), SIGALRM);
        int32_t status = mde_list_actions(client, "", NULL, &json);
        CHECK(status == MDE_OK || status == MDE_ERR_THROTTLED, "%s", json);
        mde_string_free(json);
        mde_cancel *cancel = mde_cancel_new(20);
        status = mde_collect_package(client, stalled_machine(), "why", cancel, NULL);
        CHECK(status == MDE_ERR_DEADLINE, "%d", (int)status);
        mde_cancel_free(cancel);
    }
    alarm(0);
    CHECK(ticks > 0, "no signal came");
    mde_client_free(client);
}

/* Whatever a host writes to streams that it has closed must not end up in a connection. */
static void closed_stdin(void) {
    close(STDIN_FILENO);
    mde_options *options = service_options();
    const char *ca = getenv("MDE_TEST_CA");
    if (ca != NULL) {
        set(options, "ca_file", ca);
    }
    mde_client *client = client_from(options);
    char *json = NULL;
    int32_t status = mde_list_actions(client, "", NULL, &json);
    expect_ok("a list without standard input", status, json);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) == -1, "the connection took the place of standard input");
    mde_client_free(client);
}

int main(void) {
    small_stack();
    closed_stdin();
    interrupted();
    sigpipe();
    return finish();
}
