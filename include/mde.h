/**
 * @file
 * mde.h: fetch investigation packages through Microsoft Defender for Endpoint.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What it is. A library for security agents and tools that must collect forensic evidence through
 * Defender for Endpoint. One call, mde_fetch_package(), asks the service for an investigation package of a
 * device, waits for it, downloads it and checks it; interrupted, by whatever it was, the same call carries
 * on. The steps of a package's life are there one by one, too:
 *
 *     mde_find_machines()     which device it is, and what may keep it from answering
 *     mde_collect_package()   asks for a package; mde_cancel_action() takes that back
 *     mde_wait_action()       waits for it; mde_get_action() and mde_list_actions() look once
 *     mde_download_package()  brings it to disk, whole and checked, or not at all
 *     mde_inspect_package()   checks a package on disk again, and lists what is in it
 *
 * Every function blocks the calling thread; those that send requests can be stopped from any other. There is no
 * daemon, no background thread, no configuration file, no signal handler, and nothing is printed (but see Memory).
 *
 *     mde_options *options = mde_options_new();
 *     mde_client *client = NULL;
 *     char *json = NULL;
 *     mde_options_set(options, "tenant_id", tenant, NULL);
 *     mde_options_set(options, "client_id", app, NULL);
 *     mde_options_set(options, "client_secret", secret, NULL);
 *     if (mde_client_new(options, &client, &json) == MDE_OK) {
 *         mde_string_free(json);
 *         int32_t status = mde_fetch_package(client, machine, "case 4711", "4711.zip",
 *                                            NULL, NULL, NULL, &json);
 *         printf("%d %s\n", (int)status, json);
 *     }
 *     mde_string_free(json);
 *     mde_client_free(client);
 *     mde_options_free(options);
 *
 * (A real program checks each mde_options_set(): a refused option keeps its old value.)
 *
 * How to link. Linux: cc agent.c -lmde (the library's SONAME is libmde.so.0). Windows: link the import
 * library (mde.lib, for MinGW libmde.dll.a), or load mde.dll at run time. A program may load the library
 * with dlopen() or LoadLibrary(); compare mde_abi_version() with MDE_ABI_VERSION first.
 *
 * Threads. Functions that take a const handle (mde_client, mde_cancel) may be called from many threads at
 * once. mde_options is used by one thread at a time. No handle may be freed while another thread is
 * inside a call that uses it: end the calls first, with mde_client_shutdown() or mde_cancel_trigger().
 * The only state of the process is the rate limiter (clients with the same tenant and application share
 * one), the tokens (clients that sign in alike share one, which goes with the last of them), the list of who
 * waits for which action, and the log callback. A host name that must be looked up is looked up on a
 * short-lived thread, because the system's resolver cannot be interrupted; there is at most one per client
 * and name, it ends by itself, and it blocks the program's signals. The library starts no other thread.
 * A thread that calls needs 128 KiB of stack.
 *
 * Stopping. Every wait ends, wherever the call is: by mde_cancel_trigger(), by the deadline of the cancel
 * handle, by mde_client_shutdown(), and by the option timeout_ms, or wait_timeout_ms in the calls that last
 * (mde_wait_action, mde_download_package, mde_fetch_package). These last ones also end when their progress
 * callback says so. None of them ends the collection itself: mde_cancel_action() does.
 *
 * Ownership. What a function whose name ends in _new gives out is freed with the _free of the same
 * object; strings are freed with mde_string_free(), never with free(). Freeing NULL does nothing. Inputs
 * are copied before a function returns. Handles belong to this library: a handle is not to be copied,
 * and not to be used after it was freed.
 *
 * Pointers. Every pointer is checked for NULL; a required one that is NULL gives MDE_ERR_NULL and a message
 * that names the argument. cancel and out_json may always be NULL. All other pointers must be valid.
 *
 * Files. mde_download_package() and mde_fetch_package() write to their `path` and, until they are through,
 * to files beside it that begin with its name (in a folder, also with the device's id) and that only their
 * owner can read. The option quota_file names another one. Nothing else is written, and no file that has the
 * name of a package is ever replaced.
 *
 * Encoding. Strings are NUL-terminated UTF-8, paths included, on every system. Invalid UTF-8 gives
 * MDE_ERR_UTF8.
 *
 * Errors. Functions return a status: MDE_OK (0), or one of the MDE_ERR_ codes below. *out_json is set to
 * NULL on entry and to one JSON document at the end, on success and on failure. A failure document,
 * with all members at once:
 *
 *     {"error":{"status":81,"name":"throttled","message":"...","stage":"reply","http_status":429,
 *      "service_code":"429","request_id":"...","correlation_id":"...","retryable":true,
 *      "retry_after_ms":8000,"attempts":3,"outcome":"unknown","action_id":"...","action":{...}}}
 *
 * status, name, message and retryable are always there, the others where they apply: stage is token, quota,
 * send, reply, wait, link, download or verify; request_id and correlation_id are what the service's support
 * asks for; attempts tells how often it was tried; outcome is there, and "unknown", when a request that changes
 * something may have been carried out although the call failed, whatever its status: look before repeating
 * it. Readers must ignore members they do not know. mde_json_get() reads documents without a JSON library.
 * Functions without out_json (mde_log_set, mde_token_set, mde_options_set_token_provider, mde_client_shutdown,
 * mde_json_get) return the status alone.
 *
 * Memory. If the process cannot get any, it is aborted, as Rust programs are, with a line on its standard
 * error stream; that is the one case in which this library ends its host or prints anything. Replies and
 * lists are bounded before they are stored.
 *
 * Secrets. Tokens and secrets appear in no message, document or log line. Those that a handle holds are
 * wiped from memory with it; the buffers of connections are wiped when a connection is closed. Copies of
 * the sign-in request inside the HTTP library are out of reach; access tokens do not pass through it.
 *
 * Environment. Variables are looked at while a client is made (those of the certificate store, where api_url and
 * sign-in do without TLS, when the first download needs it), and only there: for a proxy (used with
 * proxy=env alone), on Linux for the certificate store (SSL_CERT_FILE, SSL_CERT_DIR), and for
 * auth=workload_identity and managed identities (docs/options.md names them).
 *
 * Fork. A client belongs to the process that made it: in a forked child its calls return MDE_ERR_FORKED at
 * once, without touching the parent's connections; make a new client, and new cancel handles, there. The
 * limiter of a child starts empty, so parent and child together may exceed the quota, unless they share a
 * quota_file.
 *
 * Unload. The library stays loaded once it is loaded (-z nodelete; on Windows do not call FreeLibrary).
 *
 * ABI. Within one MDE_ABI_VERSION nothing is removed, renumbered or re-typed; functions, options, statuses
 * and JSON members are added. Only int32_t, uint32_t, uint64_t, size_t, pointers and function pointers
 * cross the border.
 */

#ifndef MDE_H
#define MDE_H

/* Generated from the source of the library: do not edit. */

#include <stddef.h>
#include <stdint.h>
/** Windows programs that link the DLL may define MDE_DLL; nothing needs to. */
#if defined(_WIN32) && defined(MDE_DLL)
#define MDE_API __declspec(dllimport)
#else
#define MDE_API
#endif

/** The version of this header; mde_version() is that of the library. */
#define MDE_VERSION "0.1.0"
/** A part of MDE_VERSION. */
#define MDE_VERSION_MAJOR 0
/** A part of MDE_VERSION. */
#define MDE_VERSION_MINOR 1
/** A part of MDE_VERSION. */
#define MDE_VERSION_PATCH 0
/** major * 1000000 + minor * 1000 + patch */
#define MDE_VERSION_NUMBER 1000
/** Compare with mde_abi_version() when the library is loaded. */
#define MDE_ABI_VERSION 0

/** Level of mde_log_set(): no lines. */
#define MDE_LOG_OFF 0
/** Level of mde_log_set(): something failed that the host should know about. */
#define MDE_LOG_ERROR 1
/** Level of mde_log_set(): something unusual that the library dealt with. */
#define MDE_LOG_WARN 2
/** Level of mde_log_set(): one line per operation. */
#define MDE_LOG_INFO 3
/** Level of mde_log_set(): one line per request. */
#define MDE_LOG_DEBUG 4

/* Status codes. New ones may be added; none ever changes. */

/** The operation succeeded. */
#define MDE_OK 0

/** A required pointer is NULL. The message names the argument. */
#define MDE_ERR_NULL 1

/** A string is not valid UTF-8. The message names the argument. */
#define MDE_ERR_UTF8 2

/** An argument has an unusable value. The message names it and says what is accepted. */
#define MDE_ERR_INVALID_ARGUMENT 3

/** An option is unknown, has an unusable value, or does not fit the others. The message names it. */
#define MDE_ERR_CONFIG 4

/** The client was shut down. */
#define MDE_ERR_CLOSED 5

/** The client was made in another process (before a fork). Make a new one in this process. */
#define MDE_ERR_FORKED 6

/** The sign-in service refused, or the token provider failed. Check the credentials. */
#define MDE_ERR_TOKEN 20

/** The service answered 401 and a fresh token did not cure it. */
#define MDE_ERR_UNAUTHORIZED 21

/** The service answered 403: the application lacks a permission, or the token is for another audience. */
#define MDE_ERR_FORBIDDEN 22

/** The host name could not be resolved. */
#define MDE_ERR_RESOLVE 40

/** The connection could not be opened. */
#define MDE_ERR_CONNECT 41

/** The TLS handshake failed or the certificate is not trusted. */
#define MDE_ERR_TLS 42

/** The proxy refused or did not answer properly. */
#define MDE_ERR_PROXY 43

/** The connection was lost before the whole reply had arrived. */
#define MDE_ERR_BROKEN 44

/** A reply was not understood: not this service, or something in between. */
#define MDE_ERR_PROTOCOL 45

/** The service refused the request as wrong (400 and its relatives). */
#define MDE_ERR_BAD_REQUEST 60

/** The device, action or JSON member does not exist. */
#define MDE_ERR_NOT_FOUND 61

/** A collection already runs on the device; action_id names it when it could be found. */
#define MDE_ERR_ALREADY_RUNNING 62

/** The action exists but is not finished. */
#define MDE_ERR_NOT_READY 63

/** The action ended in state Failed. */
#define MDE_ERR_ACTION_FAILED 64

/** The action ended in state TimeOut. */
#define MDE_ERR_ACTION_TIMED_OUT 65

/** The action ended in state Cancelled. */
#define MDE_ERR_ACTION_CANCELLED 66

/** The device's operating system or sensor does not support this action. */
#define MDE_ERR_UNSUPPORTED_DEVICE 67

/** The request may have been carried out, but its reply was lost. Look before repeating it. */
#define MDE_ERR_OUTCOME_UNKNOWN 68

/** The service failed (5xx). */
#define MDE_ERR_SERVICE 69

/** The quota has no room now, and the caller chose not to wait or has no time for it. See retry_after_ms; without it, calls under way or waiting have to end first. */
#define MDE_ERR_RATE_LIMITED 80

/** The service kept answering 429. See retry_after_ms. */
#define MDE_ERR_THROTTLED 81

/** The deadline passed before the operation was complete. */
#define MDE_ERR_DEADLINE 82

/** The operation was cancelled. */
#define MDE_ERR_CANCELLED 83

/** A local file could not be read or written, or is not a regular file. The message names it. */
#define MDE_ERR_FILE 100

/** The disk is full. What was fetched so far is kept; the same call carries on when there is room. */
#define MDE_ERR_DISK_FULL 101

/** A package is damaged or cut short, or made to do harm where it is unpacked. The message names the entry. */
#define MDE_ERR_INTEGRITY 102

/** A defect in the library was contained. The client remains usable; please report it. */
#define MDE_ERR_INTERNAL 900



/**
 * Stops calls from outside. Used by many threads at once.
 */
typedef struct mde_cancel mde_cancel;

/**
 * One identity against one service. Used by many threads at once.
 */
typedef struct mde_client mde_client;

/**
 * Settings for clients. Used by one thread at a time.
 */
typedef struct mde_options mde_options;

/**
 * Where a token callback puts its token. Valid during that call of the callback only.
 */
typedef struct mde_token mde_token;

/**
 * Receives one line of log text: UTF-8, one line, without secrets, valid during the call only.
 * May be called from any thread that is inside a function of this library, from several at once. It
 * may take its time, but the call waits for it. It must not throw, longjmp or call mde_log_set().
 */
typedef void (*mde_log_fn)(void *user_data, int32_t level, const char *message);

/**
 * Gets an access token for `scope` and hands it over with mde_token_set(). Returns 0 on success; any
 * other value fails the call that needs the token with MDE_ERR_TOKEN and names the value. `scope` and
 * `sink` are valid during the call only. Must not throw or longjmp, nor free or shut down the client.
 */
typedef int32_t (*mde_token_fn)(void *user_data, const char *scope, mde_token *sink);

/**
 * Receives one event of a long operation: a JSON object, valid during the call only. Called on the thread that
 * called the operation, at most ten times a second. Any other result than 0 ends the operation with
 * MDE_ERR_CANCELLED. It may use this library, other than to free or shut down the client. It must not throw
 * or longjmp. `stage` says what the event is about, and which members it has:
 *
 *  {"stage":"quota","action_id":"…","endpoint":"link","wait_ms":41000}
 *  {"stage":"collect","action_id":"…","adopted":false}
 *  {"stage":"wait","action_id":"…","status":"InProgress","elapsed_ms":61000,"next_poll_ms":15000}
 *  {"stage":"download","action_id":"…","bytes":1048576,"total":7340032,"bytes_per_second":524288}
 *  {"stage":"verify","action_id":"…","bytes":1048576,"total":7340032}
 *
 * "quota" comes before a collection or a link is asked for that has to wait for its quota, by more than a second:
 * which `endpoint`, as in mde_quota_status, and how long at least, absent while that depends on calls under way or
 * waiting; `action_id` is absent before there is an action. The wait may last a minute, and an hour where packages
 * are many; the callback is not called meanwhile, so only a cancel handle, a deadline or mde_client_shutdown() can
 * end it. When a look of a wait has to queue, or a request that is repeated, only the log says so.
 * "collect" comes once, from mde_fetch_package alone; `adopted` is as in its document. "wait" comes at each look:
 * `elapsed_ms` is the time since this call began to wait, `next_poll_ms` that until the next look, 0 after the
 * last; `status` is absent while the service does not show the action yet. `bytes` of "download" is what has
 * come, with what an earlier call left on disk; `total` is absent when the host did not tell it;
 * `bytes_per_second` is the rate of late. "verify" comes whenever a file is read through: the package at the
 * end, and what an earlier call left at the beginning.
 * Readers must ignore members and stages they do not know.
 */
typedef int32_t (*mde_progress_fn)(void *user_data, const char *event_json);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, for example "0.1.0". Static; never freed. Compare it with MDE_VERSION
 * of the header only to log a difference; what must match is mde_abi_version().
 */
MDE_API const char *mde_version(void);

/**
 * The ABI of the library. A program built against a header with another MDE_ABI_VERSION must not
 * call any further function.
 */
MDE_API uint32_t mde_abi_version(void);

/**
 * The name of a status, as in the JSON member `name`: "rate_limited" for MDE_ERR_RATE_LIMITED.
 * "unknown" for a number that is no status. Static; never freed.
 */
MDE_API const char *mde_status_name(int32_t status);

/**
 * Frees a string that this library gave out. NULL is allowed.
 */
MDE_API void mde_string_free(char *string);

/**
 * Reads one value out of a JSON document, so that plain C needs no JSON library.
 *
 * `json`: any JSON document. `pointer`: where to look (RFC 6901), for example "/action/id" or
 * "/actions/0/status"; "" is the whole document.
 * On MDE_OK `*out_value` is the text of a string without quotes and escapes, the JSON text of a number,
 * true, false, object or array, or NULL for the JSON value null. Free it with mde_string_free().
 * On failure `*out_value` is NULL. MDE_ERR_NOT_FOUND: there is no such value. MDE_ERR_INVALID_ARGUMENT: `json` is not JSON, `pointer` is
 * not a JSON pointer, or the string holds U+0000, which a C string cannot.
 */
MDE_API
int32_t mde_json_get(const char *json,
                     const char *pointer,
                     char **out_value);

/**
 * Sends log lines up to `level` to `callback`, for the whole process. A `callback` of NULL or a level
 * of MDE_LOG_OFF switches logging off, as it is at first. A call of the callback before may still be
 * running on another thread when this returns; end all calls before `user_data` goes away.
 */
MDE_API
int32_t mde_log_set(mde_log_fn callback,
                    void *user_data,
                    int32_t level);

/**
 * Hands over a token from inside a token callback. The token is copied. `expires_in_seconds`: how long
 * it is valid from now on; 0 if unknown, and then the callback is asked again for every request.
 * MDE_ERR_INVALID_ARGUMENT: the token is empty, longer than 32 KiB, or has blanks, line breaks or other
 * characters that are not visible ASCII.
 */
MDE_API
int32_t mde_token_set(mde_token *sink,
                      const char *token,
                      uint64_t expires_in_seconds);

/**
 * Empty options: every default. NULL only after a contained defect. Free with mde_options_free().
 */
MDE_API mde_options *mde_options_new(void);

/**
 * Frees options and wipes the secrets in them. Clients made from them stay as they are. NULL is allowed.
 */
MDE_API
void mde_options_free(mde_options *options);

/**
 * Sets one option by name; docs/options.md lists them. The value is checked at once and copied; on
 * error nothing changes. The document on success is {}.
 * MDE_ERR_CONFIG: the name is unknown or the value not accepted; the message says what is.
 */
MDE_API
int32_t mde_options_set(mde_options *options,
                        const char *name,
                        const char *value,
                        char **out_json);

/**
 * Sets many options from a JSON object, for example {"cloud":"eu","timeout_ms":60000}: all of them or,
 * on error, none. Values are strings, or numbers where the option is a number.
 */
MDE_API
int32_t mde_options_set_json(mde_options *options,
                             const char *json,
                             char **out_json);

/**
 * Lets the host get the access tokens. `callback` is called on the thread of the call that needs a
 * token, by one thread at a time per client. `user_data` must stay valid as long as any client made
 * from these options.
 */
MDE_API
int32_t mde_options_set_token_provider(mde_options *options,
                                       mde_token_fn callback,
                                       void *user_data);

/**
 * Makes a client from a copy of the options. Checks that they fit together and reads `ca_file`; opens
 * no connection, so a wrong secret shows with the first call. The document on success is {}.
 * MDE_ERR_CONFIG: the options do not fit together. MDE_ERR_TLS: the system has no usable certificate store
 * and `ca_file` names none. On error `*out_client` is NULL. Free with mde_client_free().
 */
MDE_API
int32_t mde_client_new(const mde_options *options,
                       mde_client **out_client,
                       char **out_json);

/**
 * Refuses new calls on the client, ends running ones with MDE_ERR_CLOSED and waits for them, at most
 * `timeout_ms`. MDE_ERR_DEADLINE: some still run; do not free the client yet. Not to be called from a
 * callback of a call on the same client.
 */
MDE_API
int32_t mde_client_shutdown(mde_client *client,
                            uint64_t timeout_ms);

/**
 * Frees a client that no thread is inside of any more, and closes its connections. Calls that may still
 * run are ended by mde_client_shutdown() first. What the client spent of the quota stays remembered
 * in the process. NULL is allowed.
 */
MDE_API
void mde_client_free(mde_client *client);

/**
 * A handle that stops the calls it is given to: with MDE_ERR_CANCELLED when it is triggered, or with
 * MDE_ERR_DEADLINE once `timeout_ms` has passed since now (0: no deadline). One handle may serve many
 * calls. NULL only after a contained defect. Free with mde_cancel_free().
 */
MDE_API
mde_cancel *mde_cancel_new(uint64_t timeout_ms);

/**
 * Ends every call that uses the handle, now and later. From any thread, any number of times. What
 * cannot be cut short is nothing but a callback of yours. NULL is allowed.
 */
MDE_API void mde_cancel_trigger(const mde_cancel *cancel);

/**
 * Frees a cancel handle that no call uses any more. NULL is allowed.
 */
MDE_API void mde_cancel_free(mde_cancel *cancel);

/**
 * Asks the service to collect an investigation package from a device, and returns as soon as it has agreed.
 *
 * `machine_id`: the device id, 40 hexadecimal digits. Other ids that the service takes in its place, such
 * as the Entra device id, are passed on.
 * `comment`: why, for the audit trail of the tenant; 1 to 32,768 bytes.
 * On MDE_OK: {"action":{…},"adopted":false}. `action` is the service's machine action with all its
 * members. `adopted` is true when the action was found rather than answered: a collection was running
 * already and this is that one, or the reply was lost and the list showed that this call had started it.
 * MDE_ERR_ALREADY_RUNNING (with on_duplicate=error): `action_id` and `action` are there if it could be
 * found. MDE_ERR_OUTCOME_UNKNOWN: the reply was lost, and the list of the device's actions does not show
 * the collection (it may lag behind) or could not be read. A request that may have been carried out is
 * never sent again: look for the collection before repeating the call. Whatever the status,
 * "outcome":"unknown" in the failure document says so, also when the call was cancelled or ran out of time
 * while the request was under way.
 * Spends the quota "collect", "list" where the list is read, and "machines" where that needs the device's 40-digit
 * id. Needs the permissions Machine.CollectForensics and Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Collect investigation package API".
 */
MDE_API
int32_t mde_collect_package(const mde_client *client,
                            const char *machine_id,
                            const char *comment,
                            const mde_cancel *cancel,
                            char **out_json);

/**
 * Reads one machine action.
 *
 * `action_id`: its GUID. On MDE_OK: {"action":{…}}. /action/status is "Pending" or "InProgress" and, in the
 * end, "Succeeded", "Failed", "TimeOut" or "Cancelled"; an action that ended badly is still MDE_OK here. To
 * learn of the end call mde_wait_action, which looks as seldom as it can: each look spends quota.
 * MDE_ERR_NOT_FOUND: there is no such action (or, in the first moments after its creation, not yet).
 * Spends the quota "read". Needs the permission Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get machineAction API".
 */
MDE_API
int32_t mde_get_action(const mde_client *client,
                       const char *action_id,
                       const mde_cancel *cancel,
                       char **out_json);

/**
 * Lists machine actions, newest first, all pages of them; a list of more than 1,000 pages or 64 MiB needs a narrower
 * filter and is MDE_ERR_INVALID_ARGUMENT.
 *
 * `odata_filter`: an OData expression over id, status, machineId, type, requestor and
 * creationDateTimeUtc, for example "status eq 'Pending' and type eq 'CollectInvestigationPackage'"; ""
 * for all actions; up to 8,192 bytes. On MDE_OK: {"actions":[{…},…]}.
 * Spends the quota "list", once per page of 10,000. Needs the permission Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "List machineActions API".
 */
MDE_API
int32_t mde_list_actions(const mde_client *client,
                         const char *odata_filter,
                         const mde_cancel *cancel,
                         char **out_json);

/**
 * How much of each quota is used, and when the next call could go out. No request is sent.
 *
 * On MDE_OK: {"quotas":[{"endpoint":"collect","limit":100,"window_s":60,"used":3,"in_flight":1,
 * "queued":0,"available_in_ms":0,"free_in_ms":[57013,58992]},…],"log":{"kind":"process"}}, one entry per endpoint and
 * window. `available_in_ms` counts all windows of the endpoint together; it is absent while it depends on calls in
 * flight. `free_in_ms`: when slots in use, no longer in flight, fall free, soonest first, at most 100, and absent if
 * none is known. When the n-th call from now can go out: in each window let room = limit - left_to_others, but at
 * least 1, and k = n + queued + used - room. If k is at most 0 there is room now; else once element k of free_in_ms,
 * counted from 1, has passed; if there is no such element, nobody knows yet. The latest window counts, and not before
 * `closed_ms`, which is there, with `closed_by`, while the service keeps the endpoint closed after a 429.
 * `left_to_others`: calls that are left out because a 429 showed that somebody else spends the same quota; they come
 * back with time and with successful calls. `log`: "process", or "file" or "redis" with its `place` (options
 * quota_file, quota_redis) and, while something is wrong with it, the `trouble`. Where the log is shared the figures
 * are those of all who share it, `queued` apart. With "known":false, only before the first call, nothing tells yet
 * whose quota will be spent, and all figures but the limits are absent.
 */
MDE_API
int32_t mde_quota_status(const mde_client *client,
                         char **out_json);

/**
 * Waits until a machine action has ended.
 *
 * `action_id`: its GUID. `progress` (may be NULL) is told the state at every look. On MDE_OK: {"action":{…}},
 * and the action has succeeded. Its other ends have a status each: MDE_ERR_ACTION_FAILED,
 * MDE_ERR_ACTION_TIMED_OUT (the device did not take it up or finish it in time), MDE_ERR_ACTION_CANCELLED.
 * MDE_ERR_NOT_FOUND: there is no such action, and it did not appear within a minute. MDE_ERR_PROTOCOL: the action
 * has been for ten minutes in a state that this version does not know. MDE_ERR_DEADLINE: wait_timeout_ms (an hour,
 * unless set) or the time of `cancel` was over; an action of a device that is offline can stay Pending for
 * days, so call again to go on waiting. Every failure document carries the `action` as last seen.
 * The action is looked at every poll_interval_ms at first and down to once a minute later on. However many
 * threads wait with one client, or with clients that share a token (docs/sign-in.md), one request looks for all of
 * them, and one of the waiting threads makes it. A look that fails is survived once the action was seen.
 * Spends the quota "read" while one thread waits, and while several do "list", and "read" for what the list does not
 * show. Needs the permission Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get machineAction API", "List machineActions API".
 */
MDE_API
int32_t mde_wait_action(const mde_client *client,
                        const char *action_id,
                        mde_progress_fn progress,
                        void *user_data,
                        const mde_cancel *cancel,
                        char **out_json);

/**
 * Cancels a machine action, and waits until it has ended.
 *
 * `action_id`: its GUID. `comment`: why, for the audit trail of the tenant; 1 to 32,768 bytes. On MDE_OK:
 * {"action":{…},"cancelled":true}. `cancelled` is false when the action had ended otherwise before;
 * /action/status says how. MDE_ERR_DEADLINE: timeout_ms or the time of `cancel` was over; the failure document
 * says whether the service had accepted to cancel, and carries the `action` as last seen. Repeating the call
 * is safe.
 * Spends the quotas "cancel" and "read". Needs the permissions Machine.CollectForensics and Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Cancel machine action API".
 */
MDE_API
int32_t mde_cancel_action(const mde_client *client,
                          const char *action_id,
                          const char *comment,
                          const mde_cancel *cancel,
                          char **out_json);

/**
 * Finds devices.
 *
 * `query`: a device id (40 hexadecimal digits); an Entra device id (a GUID); an IP address, optionally with the time
 * when it was in use, "10.0.0.5@2026-01-24T22:17:02Z" (the service looks 15 minutes around it, up to 30 days
 * back); or a DNS name, which is looked for exactly and, if there is none, as the beginning of names.
 * On MDE_OK: {"machines":[{…}],"checks":[{"id":"…","problems":["offline"]}],"more":false}. `machines` are
 * the service's records with all their members; `checks` says for each of them, in the same order, what may keep a
 * collection from starting or ending: "same_name" (another device found has the same DNS name),
 * "potential_duplicate", "merged" (into /machines/N/mergedIntoMachineId), "excluded", "not_onboarded", "unsupported",
 * "offline" (it does not report, or not properly: a collection stays Pending until it does; that a device is
 * not offline does not prove that it is online, since devices report about daily). No device is an
 * empty list and MDE_OK. At most 1,000 are given out; `more` says that there are others.
 * Spends the quota "machines", twice for a name that has no exact match. Needs the permission Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get machine by ID API", "List machines API", "Find devices by
 * internal IP API".
 */
MDE_API
int32_t mde_find_machines(const mde_client *client,
                          const char *query,
                          const mde_cancel *cancel,
                          char **out_json);

/**
 * Gets the link under which the package of a finished collection can be fetched, for use with another
 * downloader; mde_download_package gets its own.
 *
 * `action_id`: the GUID of the collection. On MDE_OK: {"uri":"https://…"}. The link is good for about a minute
 * and needs no token: whoever has it can fetch the package, so keep it out of logs, send no Authorization
 * header with it, and use its bytes as they are. MDE_ERR_NOT_READY: the action is not finished.
 * MDE_ERR_ACTION_FAILED, MDE_ERR_ACTION_TIMED_OUT, MDE_ERR_ACTION_CANCELLED: it ended without a package.
 * These carry the `action` as last seen. MDE_ERR_NOT_FOUND: there is no such action. MDE_ERR_BAD_REQUEST: it
 * is no collection. MDE_ERR_PROTOCOL: the link leads to a host that is not among download_hosts.
 * Spends the quota "link", 2 calls in a minute and 120 in an hour, and "read" where there is no link. Needs the
 * permission Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
 */
MDE_API
int32_t mde_get_package_uri(const mde_client *client,
                            const char *action_id,
                            const mde_cancel *cancel,
                            char **out_json);

/**
 * Downloads the package of a finished collection, checks it, and only then gives it its name.
 *
 * `action_id`: the GUID of the collection. `path`: the file to make, in a folder that exists; or a folder, in
 * which the file is named `<computer>_<action id>.zip`. A file that exists is never replaced.
 * `progress`: told how far it is, or NULL. On MDE_OK:
 * {"package":{"path":"…","bytes":7340032,"sha256":"…","action_id":"…","machine_id":"…","computer_name":"…",
 * "existing":false,"entries":31,…}}. `sha256` is that of the file; the other members are as from
 * mde_inspect_package, without `files`.
 *
 * On its way the package is `<path>.part`, which only its owner can read, with `<path>.part.json` beside it. Both stay
 * when the call ends early, whether by an error, its deadline, mde_cancel_trigger() or the end of the process: the
 * same call then fetches only what is missing, if the package is still the same one. Repeating a call that had
 * succeeded, or had been interrupted after the last step, gives the same answer with "existing":true as long as
 * the file is what it was. (A file is known by an attribute, user.mde.package; on a file system without attributes
 * `<path>.part.json` stays.) One call at a time works on a path; others get MDE_ERR_FILE.
 *
 * MDE_ERR_NOT_READY and MDE_ERR_ACTION_…: as for mde_get_package_uri; no link is asked for. MDE_ERR_FILE: the
 * message names the path and the reason. MDE_ERR_DISK_FULL: make room and call again. MDE_ERR_INTEGRITY: what
 * came is not a whole package, or larger than max_package_bytes; nothing has the final name. The whole call may
 * take wait_timeout_ms. Links expire within a minute: as many as are needed are asked for, as the quota allows.
 * Spends the quotas "read" and "link". Needs the permission Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
 */
MDE_API
int32_t mde_download_package(const mde_client *client,
                             const char *action_id,
                             const char *path,
                             mde_progress_fn progress,
                             void *user_data,
                             const mde_cancel *cancel,
                             char **out_json);

/**
 * Collects a package from a device, waits for it, downloads and checks it: mde_collect_package, mde_wait_action
 * and mde_download_package under one deadline (wait_timeout_ms), one cancel handle and one stream of events.
 *
 * `machine_id`, `comment`: as for mde_collect_package. `path`: as for mde_download_package. On MDE_OK:
 * {"package":{…},"action":{…},"adopted":false}, with `package` as from mde_download_package. `adopted` is true
 * when this call did not start the collection: one was running already, or an earlier call had started it.
 *
 * Wherever it was interrupted, by an error, its deadline, mde_cancel_trigger() or the end of the process, the same
 * call (the same device and path) carries on from there and starts no second collection: a note beside the file,
 * `<path>.fetch.json` (in a folder `<machine_id>.fetch.json`), says how far the call before had come. It is removed
 * at the end, and when the action itself has failed, timed out or been cancelled, or its package is gone, so that the
 * next call starts another one. One call at a time works on a note; others get MDE_ERR_FILE, retryable, and a note
 * that cannot be read is MDE_ERR_FILE too: a collection that it names may still be running. Once the file is there,
 * the same call gives the same answer again, with "existing":true; choose another path for another package. (A folder
 * gets a new file each time, so only with the path of a file can a caller that missed the answer ask for it again.)
 *
 * Errors are those of the three; /error/stage says where it stopped. With "outcome":"unknown" it is not known
 * whether the collection was started; other than with mde_collect_package the same call may be repeated at once,
 * since it looks for that collection first.
 * Spends the quotas of its steps: "collect", "read" or "list", and "link". Needs the permissions
 * Machine.CollectForensics and Machine.Read.All.
 */
MDE_API
int32_t mde_fetch_package(const mde_client *client,
                          const char *machine_id,
                          const char *comment,
                          const char *path,
                          mde_progress_fn progress,
                          void *user_data,
                          const mde_cancel *cancel,
                          char **out_json);

/**
 * Checks an investigation package on disk and lists what is in it, without unpacking it. No request is sent,
 * and nothing is written.
 *
 * `path`: a regular file, UTF-8. Every entry is decompressed and compared with its checksum, and all that the
 * zip says about itself with the rest of what it says; memory does not grow with its size, time does.
 * On MDE_OK: {"package":{"path":"...","bytes":123456,"sha256":"<64 hex digits>","entries":42,
 * "bytes_uncompressed":654321,"device":"windows","missing":["Prefetch files"],"bytes_unlisted":0,
 * "same_but_for_case":0,"files":[{"name":"Autoruns/HKLM_Run.txt","bytes":78,"compressed":60,"crc32":"0123abcd",
 * "modified":"2026-01-31T23:59:58"},...]}}. `device` is "windows", "macos" or "linux", and absent where the zip does
 * not look like an investigation package; `missing` names what packages of such devices are documented to hold
 * and this one lacks. `files` has one element per entry, folders included, whose names end in a slash; at most
 * 100,000. `modified` is in the device's own time and absent where it is not known.
 * MDE_ERR_INTEGRITY: the zip is damaged or cut short, uses what packages do not (encryption, other methods than
 * stored and deflated), or would do harm where it is unpacked (paths that lead out of the folder, symbolic links, two
 * entries in one place, more than 64 GiB, or more than 1 GiB in a 200th of the space); the message names the entry.
 * MDE_ERR_FILE: there is no such file, it cannot be read, or is a folder, device or pipe.
 */
MDE_API
int32_t mde_inspect_package(const char *path,
                            char **out_json);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MDE_H */
