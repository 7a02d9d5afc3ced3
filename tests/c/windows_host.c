/* A difficult host for Windows: threads have small stacks. */
#include <windows.h>

#include "service.h"

/* The stack that the README promises to be enough. */
enum { SMALL_STACK = 128 * 1024 };

static DWORD WINAPI collect_on_small_stack(void *argument) {
    const mde_client *client = argument;
    char *json = NULL;
    int32_t status = mde_collect_package(client, machine(0), "small stack", NULL, &json);
    expect_ok("a collection on a small stack", status, json);
    status = mde_list_actions(client, "", NULL, &json);
    expect_ok("a list on a small stack", status, json);
    return 0;
}

static void small_stack(void) {
    mde_options *options = service_options();
    mde_client *client = client_from(options);
    HANDLE thread = CreateThread(NULL, SMALL_STACK, collect_on_small_stack, client,
                                 STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    CHECK(thread != NULL, "no thread: %lu", GetLastError());
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    mde_client_free(client);
}

int main(void) {
    small_stack();
    return finish();
}
