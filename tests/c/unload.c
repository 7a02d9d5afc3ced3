/* A host that loads mde.dll at run time, as bindings do, and unloads it during a name lookup. */
#include <windows.h>

#include <stdio.h>

#include "mde.h"

/* By way of another function pointer: the system knows only one type of them. */
#define GET(name) name##_fn *name##_now = (name##_fn *)(void (*)(void))GetProcAddress(library, #name)

typedef mde_options *mde_options_new_fn(void);
typedef int32_t mde_options_set_fn(mde_options *, const char *, const char *, char **);
typedef int32_t mde_client_new_fn(const mde_options *, mde_client **, char **);
typedef int32_t mde_list_actions_fn(const mde_client *, const char *, const mde_cancel *, char **);
typedef mde_cancel *mde_cancel_new_fn(uint64_t);

int main(void) {
    HMODULE library = LoadLibraryA("mde.dll");
    mde_client *client = NULL;
    if (library == NULL) {
        printf("FAILED: not loaded: %lu\n", GetLastError());
        return 1;
    }
    GET(mde_options_new);
    GET(mde_options_set);
    GET(mde_client_new);
    GET(mde_list_actions);
    GET(mde_cancel_new);
    int32_t status = MDE_OK;
    /* Now and then a lookup ends within the millisecond that it is given. */
    for (int name = 0; name < 100 && status != MDE_ERR_DEADLINE; name++) {
        char url[64];
        snprintf(url, sizeof url, "https://unloading-%d.invalid", name);
        mde_options *options = mde_options_new_now();
        mde_options_set_now(options, "access_token", "token", NULL);
        mde_options_set_now(options, "api_url", url, NULL);
        if (mde_client_new_now(options, &client, NULL) != MDE_OK) {
            printf("FAILED: no client\n");
            return 1;
        }
        status = mde_list_actions_now(client, "", mde_cancel_new_now(1), NULL);
    }
    FreeLibrary(library);
    int is_there = GetModuleHandleA("mde.dll") == library;
    /* The lookup ends meanwhile, in code that must still be there. */
    Sleep(3000);
    if (status != MDE_ERR_DEADLINE) {
        printf("FAILED: no lookup was under way: status %d\n", (int)status);
        return 1;
    }
    if (!is_there) {
        printf("FAILED: it was unloaded\n");
        return 1;
    }
    printf("all checks passed\n");
    return 0;
}
