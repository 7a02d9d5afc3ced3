/* Replaces the library in tests of outcomes that the real one reaches only by a race. The first word of a call's first
 * argument chooses the outcome. Results of progress callbacks are ignored, as if the last event had come too late. */
#include <mde.h>
#include <stdlib.h>
#include <string.h>

struct mde_options {
    mde_token_fn token;
    void *user_data;
};

struct mde_client {
    struct mde_options options;
};

struct mde_cancel {
    int triggered;
};

static int32_t end(int32_t status, const char *json, char **out)
{
    if (out != NULL && json != NULL) {
        *out = strdup(json);
    }
    return status;
}

const char *mde_version(void) { return "0.0.0"; }
uint32_t mde_abi_version(void) { return MDE_HEADER_ABI_VERSION; }
const char *mde_status_name(mde_status status)
{
    return status == MDE_OK ? "ok" : status == MDE_ERR_NOT_FOUND ? "not_found" : "another";
}
void mde_string_free(char *text) { free(text); }

mde_options *mde_options_new(void) { return calloc(1, sizeof(mde_options)); }
void mde_options_free(mde_options *options) { free(options); }

mde_status mde_options_set_token_provider(mde_options *options, mde_token_fn callback, void *user_data,
                                          mde_free_fn free_user_data)
{
    (void)free_user_data;
    options->token = callback;
    options->user_data = user_data;
    return MDE_OK;
}

mde_status mde_client_new(const mde_options *options, mde_client **out_client, char **out_json)
{
    *out_client = malloc(sizeof(mde_client));
    (*out_client)->options = *options;
    return end(MDE_OK, NULL, out_json);
}

mde_status mde_client_shutdown(const mde_client *client, uint64_t timeout_ms)
{
    (void)client, (void)timeout_ms;
    return MDE_OK;
}

void mde_client_free(mde_client *client) { free(client); }
mde_cancel *mde_cancel_new(uint64_t timeout_ms) { return timeout_ms == 0 ? calloc(1, sizeof(mde_cancel)) : NULL; }
void mde_cancel_trigger(const mde_cancel *cancel) { (void)cancel; }
void mde_cancel_free(mde_cancel *cancel) { free(cancel); }

static int32_t ended(const char *how, char **out_json)
{
    if (strcmp(how, "succeeds") == 0) {
        return end(MDE_OK, "{\"action\":{\"id\":\"a1\",\"status\":\"Succeeded\"}}", out_json);
    }
    if (strcmp(how, "fails") == 0) {
        return end(MDE_ERR_NOT_FOUND,
                   "{\"error\":{\"status\":61,\"name\":\"not_found\",\"message\":\"gone\",\"action_id\":\"a1\"}}", out_json);
    }
    if (strcmp(how, "is cancelled") == 0) {
        return end(MDE_ERR_CANCELLED,
                   "{\"error\":{\"status\":83,\"name\":\"cancelled\",\"message\":\"stopped\",\"action_id\":\"a1\","
                   "\"outcome\":\"unknown\"}}", out_json);
    }
    if (strcmp(how, "has no token") == 0) {
        return end(MDE_ERR_TOKEN, "{\"error\":{\"status\":20,\"name\":\"token\",\"message\":\"none\"}}", out_json);
    }
    if (strcmp(how, "succeeds oddly") == 0) {
        return end(MDE_OK, "odd", out_json);
    }
    return end(MDE_ERR_NOT_FOUND, "odd", out_json);
}

mde_status mde_wait_action(const mde_client *client, const char *how, mde_progress_fn progress, void *user_data,
                        const mde_cancel *cancel, char **out_json)
{
    (void)client, (void)cancel;
    if (progress != NULL) {
        progress(user_data, "{\"stage\":\"wait\",\"action_id\":\"a1\"}");
    }
    return ended(how, out_json);
}

mde_status mde_get_action(const mde_client *client, const char *how, const mde_cancel *cancel, char **out_json)
{
    (void)cancel;
    if (client->options.token != NULL) {
        client->options.token(client->options.user_data, "scope", NULL);
    }
    return ended(how, out_json);
}
