/**
 * @file
 * mde.h: fetch investigation packages through Microsoft Defender for Endpoint.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * One call, mde_fetch_package(), asks the service to collect an investigation package from a device, waits for it,
 * downloads it and checks it. Interrupted, the same call resumes.
 *
 *     mde_options *options = mde_options_new();
 *     mde_client *client = NULL;
 *     char *json = NULL;
 *     mde_status status = MDE_OK;
 *     mde_options_set(options, "tenant_id", tenant, NULL);
 *     mde_options_set(options, "client_id", app, NULL);
 *     mde_options_set(options, "client_secret", secret, NULL);
 *     status = mde_client_new(options, &client, &json);
 *     if (status == MDE_OK) {
 *         status = mde_fetch_package(client, machine, "case 4711", "4711.zip", NULL, NULL, NULL, &json);
 *     }
 *     printf("%s %s\n", mde_status_name(status), json);
 *     mde_string_free(json);
 *     mde_client_free(client);
 *     mde_options_free(options);
 *
 * A real program checks each mde_options_set() too: a refused option keeps its old value.
 *
 * Rules for every function. docs/contract.md has them with reasons and details.
 *
 * - Blocking: it runs on the calling thread, which needs 128 KiB of stack, and prints nothing. There is no daemon and
 *   no signal handler. The only threads are those that look up a host name, and those of
 *   mde_fetch_packages() that download, which end before it returns.
 * - Status: it returns MDE_OK or one of the MDE_ERR_ constants, and aborts only for lack of memory.
 *   Every function may also return MDE_ERR_NULL, MDE_ERR_UTF8 and MDE_ERR_INVALID_ARGUMENT for its arguments, and
 *   MDE_ERR_INTERNAL. Those with a client may return the MDE_ERR_ constants of identity, network, service and limits.
 * - Documents: *out_json is NULL on entry and gets one JSON document at the end, on success and on failure. The
 *   functions without a result leave NULL on success. Members may be added in later versions.
 * - Failure documents: {"error":{"status":81,"name":"throttled","message":"...","retryable":true,...}}.
 *   docs/json.md has every member. "outcome":"unknown" means that a change may have been made although the call
 *   failed, whatever the status. mde_json_get() reads documents without a JSON library.
 * - Strings: NUL-terminated UTF-8, paths included, on every system. Inputs are copied before the function returns.
 * - Pointers: every one is checked for NULL, and a required one gives MDE_ERR_NULL and a message that names the
 *   argument. All other pointers must be valid.
 * - Ownership: an object from a function ending in _new is freed with the _free function of its kind, and strings
 *   with mde_string_free(), never with free(). Freeing NULL does nothing.
 * - Threads: functions on a const handle may be called from many threads at once; mde_options is used by one at a
 *   time. Nothing may be freed while another thread is inside a call on it.
 * - Stopping: every wait ends by mde_cancel_trigger(), the deadline of the cancel handle, mde_client_shutdown(), and
 *   timeout_ms (wait_timeout_ms in mde_fetch_package, mde_wait_action and mde_download_package). None of them ends
 *   the collection: mde_cancel_action() does.
 * - Callbacks: may use this library. Nothing may leave them but a return: an exception ends the process, and a thread
 *   that ends in a callback leaves its call open. pthread_cancel() takes effect after the call.
 * - Fork: in a forked child the calls on a client of the parent return MDE_ERR_FORKED at once. Make a new client.
 * - Secrets: no message or log line has a token or a secret. Documents have records as the service sent them.
 *
 * How to link. Linux: cc agent.c -lmde (SONAME libmde.so.0). Windows: the import library, mde.lib or for MinGW
 * libmde.dll.a. Or load it at run time with dlopen() or LoadLibrary(), and compare mde_abi_version() with
 * MDE_HEADER_ABI_VERSION first. It stays loaded until the process ends.
 *
 * ABI. Within one MDE_HEADER_ABI_VERSION nothing is removed, renumbered or re-typed. Only int32_t, uint32_t, uint64_t,
 * pointers and function pointers are passed.
 */

#ifndef MDE_H
#define MDE_H

/* Generated from the source of the library: do not edit. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Windows programs that link the DLL may define MDE_DLL; nothing needs to. */
#if defined(_WIN32) && defined(MDE_DLL)
#define MDE_API __declspec(dllimport)
#else
#define MDE_API
#endif

/** @name Versions
 * @{ */

/** The version of this header; mde_version() returns that of the library. */
#define MDE_HEADER_VERSION "0.1.0"
/** A part of MDE_HEADER_VERSION. */
#define MDE_HEADER_VERSION_MAJOR 0
/** A part of MDE_HEADER_VERSION. */
#define MDE_HEADER_VERSION_MINOR 1
/** A part of MDE_HEADER_VERSION. */
#define MDE_HEADER_VERSION_PATCH 0
/** major * 1000000 + minor * 1000 + patch */
#define MDE_HEADER_VERSION_NUMBER 1000
/** Compare with mde_abi_version() when the library is loaded. */
#define MDE_HEADER_ABI_VERSION 0

/** @} */

/** @name Log levels
 * @{ */

/** Level of mde_log_set(): no lines. */
#define MDE_LOG_OFF 0
/** Level of mde_log_set(): something failed that the host should know about. */
#define MDE_LOG_ERROR 1
/** Level of mde_log_set(): something unusual that the library handled. */
#define MDE_LOG_WARN 2
/** Level of mde_log_set(): one line per operation. */
#define MDE_LOG_INFO 3
/** Level of mde_log_set(): one line per request. */
#define MDE_LOG_DEBUG 4

/** @} */

/** @name Statuses
 * New ones may be added; none ever changes.
 * @{ */

/** The operation succeeded. */
#define MDE_OK 0

/** A required pointer is NULL. The message names the argument. */
#define MDE_ERR_NULL 1

/** A string is not valid UTF-8. The message names the argument. */
#define MDE_ERR_UTF8 2

/** An argument has an unusable value. The message names the argument and what is accepted. */
#define MDE_ERR_INVALID_ARGUMENT 3

/** An option is unknown, has an unusable value, or does not fit the others. The message names it. */
#define MDE_ERR_CONFIG 4

/** The client was shut down. */
#define MDE_ERR_CLOSED 5

/** The client was made in another process (before a fork). Make a new one in this process. */
#define MDE_ERR_FORKED 6

/** The sign-in service refused, or the token provider or signer failed. Check the credentials. */
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

/** A reply was not understood. It may come from a proxy, a gateway or another service. */
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

/** The request may have been carried out, but neither a reply nor the list of actions tells. Check before repeating it. */
#define MDE_ERR_OUTCOME_UNKNOWN 68

/** The service failed (5xx). */
#define MDE_ERR_SERVICE 69

/** Every device has its outcome, but not every package is there. The document has them all. */
#define MDE_ERR_INCOMPLETE 70

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

/** The disk is full. The part on disk is kept, and the same call resumes when there is room. */
#define MDE_ERR_DISK_FULL 101

/** A package is damaged or cut short. The message names the entry, and the file in which the download is kept. */
#define MDE_ERR_INTEGRITY 102

/** A package could do harm where it is unpacked, or its content cannot be checked. It is kept, and the document lists its unsafe entries. */
#define MDE_ERR_UNSAFE 103

/** A defect in the library was contained. The client remains usable; please report it. */
#define MDE_ERR_INTERNAL 900

/** @} */

/** @name Types
 * @{ */

/**
 * Stops calls from other threads. Used by many threads at once.
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
 * Receives the signature of a signing callback. Valid during that call of the callback only.
 */
typedef struct mde_signature_sink mde_signature_sink;

/**
 * Receives the token of a token callback. Valid during that call of the callback only.
 */
typedef struct mde_token_sink mde_token_sink;

/**
 * The result of a function: MDE_OK or one of the MDE_ERR_ constants.
 */
typedef int32_t mde_status;

/**
 * Receives one event of a long operation.
 *
 * Called on the thread that called the operation, at most ten times a second. It may use this library, other than to
 * free or shut down the client. Nothing may leave it but a return: an exception ends the process.
 *
 *  {"stage":"quota","action_id":"...","endpoint":"link","wait_ms":41000}
 *  {"stage":"collect","action_id":"...","adopted":false}
 *  {"stage":"wait","action_id":"...","status":"InProgress","elapsed_ms":61000,"next_poll_ms":15000}
 *  {"stage":"download","action_id":"...","bytes":1048576,"total":7340032,"bytes_per_second":524288}
 *  {"stage":"verify","action_id":"...","bytes":1048576,"total":7340032}
 *
 * mde_fetch_packages() alone has these, and a "machine_id" in each event of a single device:
 *
 *  {"stage":"fleet","devices":500,"done":120,"failed":2,"skipped":1,"running":30,"ready":12,"downloading":4,
 *   "bytes":880803840,"eta_ms":10800000}
 *  {"stage":"ended","machine_id":"...","state":"done","package":{...},"action":{...},"adopted":false}
 *
 * - action_id: the machine action; absent before there is one, and from mde_inspect_package().
 * - endpoint, wait_ms: the quota that the next request, for a collection or a link, waits for by more than a second,
 *   and the least wait; wait_ms is absent while that depends on other calls. The callback is not called meanwhile.
 * - adopted: as in the document of mde_fetch_package(), which alone has "collect", once.
 * - status: of the action at this poll; absent while the service does not show the action yet.
 * - elapsed_ms, next_poll_ms: the time since this call began to wait, and until the next poll; 0 after the last.
 * - bytes, total of "download": the bytes on disk, those of an earlier call included, and the length of the package;
 *   total is absent if the host did not name it.
 * - bytes_per_second: the recent rate.
 * - bytes, total of "verify": how much of a file is read, and its length. The file is the whole package at the end,
 *   and the part of an earlier call at the beginning; mde_inspect_package() reads twice.
 *
 * - devices, done, failed, skipped, running, ready, downloading: how many devices of the job are how far. Downloads
 *   that run are in "downloading" and not in "ready".
 * - bytes of "fleet": all packages that are done, and the parts that are being downloaded.
 * - eta_ms: the least time that the quota needs for the rest; absent if it is not known.
 * - the members of "ended": the device, which has its outcome, as in the document. Some outcomes have no event: those
 *   of earlier calls, and some of many that come at once. The document has all.
 *
 * Readers must ignore members and stages they do not know.
 * @param user_data As given to the operation.
 * @param event_json A JSON object, valid during the call only.
 * @return 0 to continue. Any other value ends the operation with MDE_ERR_CANCELLED.
 */
typedef int32_t (*mde_progress_fn)(void *user_data,
                                   const char *event_json);

/**
 * Gets an access token and passes it to mde_token_set().
 *
 * Called on the thread that made the call that needs a token, by one thread at a time per client. It must not free or
 * shut down the client. Nothing may leave it but a return: an exception ends the process.
 * @param user_data As given to mde_options_set_token_provider().
 * @param token_scope The scope of the token: the option scope, or the documented scope of the cloud; valid during the
 * call only.
 * @param sink For mde_token_set(); valid during the call only.
 * @return 0 on success. Any other value fails the call with MDE_ERR_TOKEN, whose message has the value.
 */
typedef int32_t (*mde_token_fn)(void *user_data,
                                const char *token_scope,
                                mde_token_sink *sink);

/**
 * Frees the user_data of a callback that the library keeps.
 *
 * Called once, when no call of that callback can come any more; never while one runs, and with no lock of the library
 * held, so that it may use this library. Not called if the function that receives user_data fails, and not in a forked
 * child for the user_data of its parent. Nothing may leave it but a return.
 * @param user_data As given together with this function.
 */
typedef void (*mde_free_fn)(void *user_data);

/**
 * Signs data with the key of the option client_certificate, and passes the signature to mde_signature_set().
 *
 * Called on the thread that made the call that signs in, by one thread at a time per client, once for each token request.
 * It must not free or shut down the client. Nothing may leave it but a return: an exception ends the process. The library
 * cannot interrupt it: mde_signature_time_left_ms() says when to give up.
 *
 * The library checks the signature with the certificate before it sends it. A signature of another key, length or
 * padding fails the call with MDE_ERR_TOKEN, and the message says what differs.
 * @param user_data As given to mde_options_set_signer().
 * @param algorithm "PS256" or "RS256", after the option certificate_algorithm. Both hash the data with SHA-256. PS256 pads
 * with RSA-PSS, MGF1 of SHA-256 and a salt of 32 bytes, RS256 as PKCS#1 v1.5 does; valid during the call only.
 * @param data The text to hash and sign, which holds no secret; valid during the call only.
 * @param size The length of data in bytes.
 * @param sink For mde_signature_set(); valid during the call only.
 * @return 0 on success. Any other value fails the call with MDE_ERR_TOKEN, whose message has the value.
 */
typedef int32_t (*mde_sign_fn)(void *user_data,
                               const char *algorithm,
                               const uint8_t *data,
                               uint64_t size,
                               mde_signature_sink *sink);

/**
 * Receives one line of log text.
 *
 * May be called from any thread that is inside a function of this library, and from several at once. The function
 * of the library waits for it. It may use this library; nothing may leave it but a return: an exception ends the
 * process.
 * @param user_data As given to mde_log_set().
 * @param level One of MDE_LOG_ERROR to MDE_LOG_DEBUG.
 * @param message One line of UTF-8 without secrets, valid during the call only.
 */
typedef void (*mde_log_fn)(void *user_data,
                           int32_t level,
                           const char *message);

/** @} */

/** @name Packages
 * @{ */

/**
 * Collects a package from a device, waits for it, downloads and checks it: the main function.
 *
 * mde_collect_package(), mde_wait_action() and mde_download_package() under one deadline, wait_timeout_ms. If it was
 * interrupted anywhere, even with its process, the same call (same device and path) resumes and starts no second
 * collection. A state file beside the package, `<path>.fetch.json` or in a folder `<machine_id>.fetch.json`, records
 * its progress. Once the file exists, the same call returns the same result again. docs/contract.md has the details.
 *
 * The document: {"package":{...},"action":{...},"adopted":false}
 * - package: as from mde_download_package().
 * - action: the service's machine action with all its members; a failure document has it too, as last seen.
 * - adopted: true if this call did not start the collection: it ran already, or an earlier call had started it.
 *
 * Quota: that of the steps: "collect", "read" or "list", and "link". Permissions: Machine.CollectForensics and
 * Machine.Read.All.
 * @param client The client.
 * @param machine_id The device id, as for mde_collect_package().
 * @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
 * @param path The file to make, or a folder, as for mde_download_package().
 * @param progress Called with the progress; may be NULL.
 * @param user_data Passed to progress; may be NULL.
 * @param cancel Ends the call early, but not the collection; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The file exists, whole and checked.
 * @retval MDE_ERR_UNSAFE As for mde_download_package(), like MDE_ERR_INTEGRITY: the same call returns the same again.
 * @retval MDE_ERR_FILE As for mde_download_package(). Also: another call works on the same state file (retryable), or
 * the state file cannot be read, and a collection that it names may still be running. Or the option record names a
 * record that was changed or cannot be written: the same call returns the end again once it is recorded.
 * @retval MDE_ERR_OUTCOME_UNKNOWN As for mde_collect_package(). Repeat the call: it first searches for the collection.
 * @return All other errors are those of the three functions; the member stage names the step that failed.
 */
MDE_API
mde_status mde_fetch_package(const mde_client *client,
                             const char *machine_id,
                             const char *comment,
                             const char *path,
                             mde_progress_fn progress,
                             void *user_data,
                             const mde_cancel *cancel,
                             char **out_json);

/**
 * Asks the service to collect a package from a device, and returns as soon as the service has accepted.
 *
 * The document: {"action":{...},"adopted":false}
 * - action: the service's machine action with all its members.
 * - adopted: true if the action was found in the list of actions: a collection ran already, or the reply was lost and
 *   the list showed that this call had started it.
 *
 * If the reply is lost, or is a 5xx, the list of the device's actions is searched for ten seconds. If it does not show
 * the collection, the request is sent again, up to max_retries times. The service runs one collection on a device at a
 * time, so a second request joins it. With on_unknown=report nothing is sent again.
 *
 * "outcome":"unknown" in a failure document, whatever the status, means that the collection may have been started:
 * search for it before repeating the call.
 *
 * Quota: "collect", for every request; "list" and "machines" if it has to be searched for. Permissions:
 * Machine.CollectForensics and Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Collect investigation package API".
 * @param client The client.
 * @param machine_id The device id, 40 hexadecimal digits. Other ids that the service accepts, such as the Entra
 * device id, are passed on.
 * @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The collection runs.
 * @retval MDE_ERR_NOT_FOUND There is no such device.
 * @retval MDE_ERR_ALREADY_RUNNING A collection runs already: with on_duplicate=error, or it was not found. The failure
 * document has its action_id and action if it was.
 * @retval MDE_ERR_UNSUPPORTED_DEVICE The device's system or sensor cannot do it.
 * @retval MDE_ERR_OUTCOME_UNKNOWN Every reply was lost, and the list of actions does not show the collection, or could
 * not be read.
 */
MDE_API
mde_status mde_collect_package(const mde_client *client,
                               const char *machine_id,
                               const char *comment,
                               const mde_cancel *cancel,
                               char **out_json);

/**
 * Downloads the package of a finished collection, checks it, and only then gives it its name.
 *
 * During the download the package is `<path>.part`, which only its owner can read, with the state file
 * `<path>.part.json` beside it. Both stay when the call ends early, even with its process, and the same call then
 * downloads only the rest. Repeating a call that had succeeded returns the same result with "existing":true. A package
 * that is refused is kept, as `<path>.damaged` or `<path>.unsafe`, and repeating the call returns the same error. Only
 * a file that does not begin as a zip, such as the web page of a proxy, does not stop it from downloading again.
 * docs/contract.md has the details.
 *
 * The document: {"package":{"path":"...","bytes":7340032,"sha256":"...","action_id":"...","machine_id":"...",
 * "computer_name":"...","existing":false,"entries":31,...}}
 * - package.path: the file.
 * - package.bytes, package.sha256: of the file.
 * - package.action_id, package.machine_id, package.computer_name: the origin of the package.
 * - package.existing: true if an earlier call had downloaded it.
 * - The others are as from mde_inspect_package(), without files. A failure document has a package too, if it was kept.
 *
 * Quota: "read" and "link". Permission: Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
 * @param client The client.
 * @param action_id The GUID of the collection.
 * @param path The file to make, in a folder that exists; or a folder, in which the file is named
 * `<computer>_<action id>.zip`. A file that exists is never replaced. A link to a folder is one only with a separator
 * at the end of the path.
 * @param progress Called with the progress; may be NULL.
 * @param user_data Passed to progress; may be NULL.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The file exists, whole and checked.
 * @retval MDE_ERR_NOT_READY The action is not finished.
 * @retval MDE_ERR_ACTION_FAILED As for mde_wait_action(), like MDE_ERR_ACTION_TIMED_OUT and MDE_ERR_ACTION_CANCELLED.
 * @retval MDE_ERR_NOT_FOUND There is no such action.
 * @retval MDE_ERR_PROTOCOL The link leads to a host that is not among download_hosts.
 * @retval MDE_ERR_DEADLINE wait_timeout_ms or the time of cancel is over.
 * @retval MDE_ERR_FILE The message names the path and the reason: a file exists, it cannot be written, another call
 * works on it.
 * @retval MDE_ERR_DISK_FULL Make room and call again.
 * @retval MDE_ERR_INTEGRITY The download is not a whole package, and kept as `<path>.damaged`: move it away to download
 * it anew. Or it is larger than max_package_bytes, and not kept.
 * @retval MDE_ERR_UNSAFE The package could do harm where it is unpacked, or cannot be checked. It is kept as
 * `<path>.unsafe`. With the option accept_unsafe=yes the same call gives it its name without another download.
 */
MDE_API
mde_status mde_download_package(const mde_client *client,
                                const char *action_id,
                                const char *path,
                                mde_progress_fn progress,
                                void *user_data,
                                const mde_cancel *cancel,
                                char **out_json);

/**
 * Gets the link to the package of a finished collection, for use with another downloader.
 *
 * The document: {"uri":"https:..."}
 * - uri: valid for about a minute, and needs no token. It grants access to the package, so keep it out of logs. Send
 *   no Authorization header with it, and use its bytes unchanged.
 *
 * Quota: "link", 2 calls in a minute and 120 in an hour, and "read" if there is no link. Permission: Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
 * @param client The client.
 * @param action_id The GUID of the collection.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The document has the link.
 * @retval MDE_ERR_NOT_READY The action is not finished. The failure document has it as last seen, here and with the
 * next status.
 * @retval MDE_ERR_ACTION_FAILED As for mde_wait_action(), like MDE_ERR_ACTION_TIMED_OUT and MDE_ERR_ACTION_CANCELLED.
 * @retval MDE_ERR_NOT_FOUND There is no such action.
 * @retval MDE_ERR_BAD_REQUEST The action is no collection.
 * @retval MDE_ERR_PROTOCOL The link leads to a host that is not among download_hosts.
 */
MDE_API
mde_status mde_get_package_uri(const mde_client *client,
                               const char *action_id,
                               const mde_cancel *cancel,
                               char **out_json);

/**
 * Checks a package on disk and lists its contents, without unpacking it. Nothing is sent or written.
 *
 * Every entry is decompressed and compared with its checksum, and all records of the zip are compared with each other.
 * Memory does not grow with the size of the package; time does.
 *
 * The document: {"package":{"path":"...","bytes":123456,"sha256":"...","entries":42,"bytes_uncompressed":654321,
 * "device":"windows","missing":["Prefetch files"],"bytes_unlisted":0,"same_but_for_case":0,
 * "files":[{"name":"Autoruns/HKLM_Run.txt","bytes":78,"compressed":60,"crc32":"0123abcd",
 * "modified":"2026-01-31T23:59:58"},...]}}
 * - package.path: the path, as it was given.
 * - package.bytes, package.sha256: of the file.
 * - package.entries: the number of entries, folders included.
 * - package.bytes_uncompressed: of all files together.
 * - package.device: "windows", "macos" or "linux"; absent if it does not look like an investigation package.
 * - package.missing: the documented parts of such packages that this one lacks.
 * - package.bytes_unlisted: bytes that belong to no entry.
 * - package.same_but_for_case: how many names Windows or macOS take for another one.
 * - package.unsafe_count, package.unsafe_entries: how many entries could do harm where they are unpacked, and
 *   [{"name":"...","reason":"..."},...] for up to 100 of them; absent if there are none.
 * - package.files: one per entry, at most 100,000; names of folders end in a slash. modified is in the device's own
 *   time, and absent if it is not known.
 * @param path A regular file.
 * @param progress Called with the progress, with "verify" events alone; may be NULL.
 * @param user_data Passed to progress; may be NULL.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The package is whole and safe to unpack.
 * @retval MDE_ERR_INTEGRITY The zip is damaged or cut short. The message names the first damaged entries.
 * @retval MDE_ERR_UNSAFE The zip could do harm where it is unpacked (paths that lead out of the folder, symbolic
 * links, two entries in one place, zip bombs), or its content cannot be checked (encryption, other methods than stored
 * and deflated). The failure document has the package, with all members. docs/packages.md has the list.
 * @retval MDE_ERR_FILE The file does not exist, cannot be read, or is a folder, device or pipe.
 * @retval MDE_ERR_DEADLINE The time of cancel is over.
 * @retval MDE_ERR_CANCELLED cancel was triggered, or progress asked to stop.
 */
MDE_API
mde_status mde_inspect_package(const char *path,
                               mde_progress_fn progress,
                               void *user_data,
                               const mde_cancel *cancel,
                               char **out_json);

/** @} */

/** @name Packages of many devices
 * @{ */

/**
 * Fetches the packages of many devices into a folder, at the speed of the quota.
 *
 * mde_fetch_package() for each device, in one call: it asks for all collections, polls them with one request, and
 * downloads several packages at once. It returns when every device has its outcome, or when it is stopped. The folder
 * holds the job: after an interruption anywhere, even of the process, the call with the same folder resumes, and asks
 * no device twice. A device that is offline holds nothing up. docs/fleet.md has the details.
 *
 * The document, of a failure too: {"packages":[{"machine_id":"...","state":"done","package":{...},"action":{...},
 * "adopted":false},...],"summary":{"devices":500,"done":480,"failed":3,"skipped":2,"unfinished":15,"bytes":123456,
 * "eta_ms":450000}}
 * - packages: one per device, in the order given.
 * - packages.state: "done"; "failed", with the error; "skipped", with the problems; and of a device without an outcome
 *   "queued", "waiting" (for the device, which may be offline), "running" or "ready" (to be downloaded).
 * - packages.package, packages.action, packages.adopted: as from mde_fetch_package().
 * - packages.error: as in a failure document. With "retryable":true the next call tries the device again.
 * - packages.problems: as from mde_find_machines().
 * - summary.unfinished: devices without an outcome, with which the next call goes on.
 * - summary.bytes: of all packages that are done.
 * - summary.eta_ms: the least time that the quota needs for the rest; absent if it is not known.
 *
 * Quota: "collect" and "link" for each device, and "list" for all together. Calls for single devices go first.
 * Permissions: Machine.CollectForensics and Machine.Read.All.
 * @param client The client.
 * @param devices_json The devices: an array of device ids, or of {"machine_id":"...","comment":"...","file":"pc1.zip"}
 * with optional comment and file; or the document of mde_find_machines(), whose devices with the problems
 * potential_duplicate, merged, unsupported or not_onboarded are skipped, and which is refused if its more is true. Other
 * members are refused. The same device twice is one device. Up to 100,000 of them. Devices that the job has are left as they are; {"devices":[...],"retry":"failed"} asks those again
 * that have failed. NULL or [] resumes the job in the folder.
 * @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
 * @param folder A folder that exists. The files are named as by mde_download_package(), or as devices_json says.
 * @param progress Called with the progress; may be NULL.
 * @param user_data Passed to progress; may be NULL.
 * @param cancel Ends the call early, but no collection; may be NULL.
 * @param out_json The document; may be NULL.
 * @retval MDE_OK Every package is there.
 * @retval MDE_ERR_INCOMPLETE Every device has its outcome, and some have no package.
 * @retval MDE_ERR_DEADLINE wait_timeout_ms or the time of cancel is over. Call again to go on.
 * @retval MDE_ERR_FILE The folder cannot be used, another call works in it (retryable), or it holds the job of another
 * tenant or application, or a damaged journal.
 * @retval MDE_ERR_DISK_FULL Make room and call again.
 * @retval MDE_ERR_INVALID_ARGUMENT devices_json is of another form. The message names the item.
 * @return An error that concerns all devices and lasts ends the call as well, such as MDE_ERR_FORBIDDEN or
 * MDE_ERR_CONNECT.
 */
MDE_API
mde_status mde_fetch_packages(const mde_client *client,
                              const char *devices_json,
                              const char *comment,
                              const char *folder,
                              mde_progress_fn progress,
                              void *user_data,
                              const mde_cancel *cancel,
                              char **out_json);

/**
 * Returns how the job in a folder stands, also while a call works on it. Nothing is sent or written.
 *
 * The document: that of mde_fetch_packages(), as the journal in the folder has it, without eta_ms.
 * @param folder The folder of mde_fetch_packages().
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The document says how the job stands, whether it has ended or not.
 * @retval MDE_ERR_FILE The folder has no job, or its journal cannot be read.
 */
MDE_API
mde_status mde_read_packages(const char *folder,
                             char **out_json);

/** @} */

/** @name Machine actions
 * @{ */

/**
 * Reads one machine action as it is now. mde_wait_action() waits for its end and spends less quota.
 *
 * The document: {"action":{...}}
 * - action: the service's machine action with all its members.
 * - action.status: "Pending" or "InProgress" and, in the end, "Succeeded", "Failed", "TimeOut" or "Cancelled".
 *
 * Quota: "read". Permission: Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get machineAction API".
 * @param client The client.
 * @param action_id A GUID.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The action was read, whatever its status.
 * @retval MDE_ERR_NOT_FOUND There is no such action, or in the moments after its creation not yet.
 */
MDE_API
mde_status mde_get_action(const mde_client *client,
                          const char *action_id,
                          const mde_cancel *cancel,
                          char **out_json);

/**
 * Lists machine actions, newest first, all pages of them.
 *
 * The document: {"actions":[{...},...]}
 * - actions: the service's machine actions with all their members.
 *
 * Quota: "list", once per page of 10,000. Permission: Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "List machineActions API".
 * @param client The client.
 * @param odata_filter An OData expression over id, status, machineId, type, requestor and creationDateTimeUtc, for
 * example "status eq 'Pending' and type eq 'CollectInvestigationPackage'"; up to 8,192 bytes. "" selects all.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The document has the whole list.
 * @retval MDE_ERR_INVALID_ARGUMENT odata_filter is too long, or the list has more than 30,000 actions, 28 MB or 1,000 pages.
 * @retval MDE_ERR_BAD_REQUEST The service does not understand the filter.
 */
MDE_API
mde_status mde_list_actions(const mde_client *client,
                            const char *odata_filter,
                            const mde_cancel *cancel,
                            char **out_json);

/**
 * Waits until a machine action has ended.
 *
 * The action is polled every poll_interval_ms at first, and later less often, down to once a minute. One request polls
 * for all threads that wait with one client, or with clients that share a token. Once the action was seen, a failed
 * poll does not end the call.
 *
 * The document: {"action":{...}}
 * - action: the service's machine action with all its members; a failure document has it too, as last seen.
 *
 * Quota: "read" while one thread waits; "list" while several do, and "read" for actions that the list does not show.
 * Permission: Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get machineAction API", "List machineActions API".
 * @param client The client.
 * @param action_id A GUID.
 * @param progress Called with the state at every poll; may be NULL.
 * @param user_data Passed to progress; may be NULL.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The action has succeeded.
 * @retval MDE_ERR_ACTION_FAILED The action has failed.
 * @retval MDE_ERR_ACTION_TIMED_OUT The device did not start or finish it in time.
 * @retval MDE_ERR_ACTION_CANCELLED The action was cancelled.
 * @retval MDE_ERR_NOT_FOUND There is no such action, and it did not appear within a minute.
 * @retval MDE_ERR_PROTOCOL The action has been for ten minutes in a state that this version does not know.
 * @retval MDE_ERR_DEADLINE wait_timeout_ms (an hour, unless set) or the time of cancel is over. An action of an
 * offline device can stay Pending for days: call again to continue to wait.
 */
MDE_API
mde_status mde_wait_action(const mde_client *client,
                           const char *action_id,
                           mde_progress_fn progress,
                           void *user_data,
                           const mde_cancel *cancel,
                           char **out_json);

/**
 * Cancels a machine action, and waits until it has ended. Repeating the call is safe.
 *
 * The document: {"action":{...},"cancelled":true}
 * - action: the service's machine action with all its members.
 * - cancelled: false if the action had ended in another way before; action.status has its state.
 *
 * Quota: "cancel" and "read". Permissions: Machine.CollectForensics and Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Cancel machine action API".
 * @param client The client.
 * @param action_id A GUID.
 * @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The action has ended.
 * @retval MDE_ERR_NOT_FOUND There is no such action.
 * @retval MDE_ERR_DEADLINE timeout_ms or the time of cancel is over. The message states whether the service had
 * accepted to cancel, and the document has the action as last seen.
 */
MDE_API
mde_status mde_cancel_action(const mde_client *client,
                             const char *action_id,
                             const char *comment,
                             const mde_cancel *cancel,
                             char **out_json);

/** @} */

/** @name Devices
 * @{ */

/**
 * Finds devices. If there is none, the list is empty and the status is MDE_OK.
 *
 * The document: {"machines":[{...}],"checks":[{"id":"...","problems":["offline"]}],"more":false}
 * - machines: the service's records with all their members.
 * - checks: reasons why a collection may not start or end, one entry per machine, in the same order.
 * - checks[].problems: of "same_name" (another device found has the same DNS name), "potential_duplicate", "merged"
 *   (into /machines/N/mergedIntoMachineId), "excluded", "not_onboarded", "unsupported" and "offline" (it does not
 *   report, so a collection stays Pending until it does).
 * - more: true if there are more devices. A selection finds up to 100,000, any other query up to 1,000.
 *
 * A selection is a list of conditions, all of which hold: "tag:DMZ and not os:Linux".
 * - "tag:NAME", "os:PLATFORM": the tag, the osPlatform. The service compares them.
 * - "group:NAME": the rbacGroupName. The service cannot filter by it, so the library reads all devices and compares.
 * - "filter:ODATA": the rest of the query, as the service understands it; so it comes last.
 * - "not" before a condition: the library compares, without regard to letter case. It passes "not filter:" on.
 *
 * Quota: "machines", twice for a name that has no exact match; for a selection once per 5,000 devices that the
 * service's part of it matches. Permission: Machine.Read.All.
 * Source: Microsoft Defender for Endpoint, "Get machine by ID API", "List machines API", "Find devices by internal IP
 * API", "OData queries with Microsoft Defender for Endpoint".
 * @param client The client.
 * @param query A device id (40 hexadecimal digits); an Entra device id (a GUID); an IP address, optionally with the
 * time when it was in use, "10.0.0.5@2026-01-24T22:17:02Z", up to 30 days back; a DNS name, exact or else the
 * beginning of names; or a selection of up to 8,192 bytes.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The search was made.
 * @retval MDE_ERR_INVALID_ARGUMENT query is none of these.
 * @retval MDE_ERR_BAD_REQUEST The service does not understand the text after "filter:".
 */
MDE_API
mde_status mde_find_machines(const mde_client *client,
                             const char *query,
                             const mde_cancel *cancel,
                             char **out_json);

/** @} */

/** @name Quota
 * @{ */

/**
 * Reads how much of each quota is used, and when the next call could be sent. No request is sent.
 *
 * The document: {"quotas":[{"endpoint":"collect","limit":100,"window_s":60,"used":3,"in_flight":1,"queued":0,
 * "available_in_ms":0},...],"log":{"kind":"process"}}
 * - quotas: one entry per endpoint and window. With a shared call log the figures, except queued, count all its users.
 * - quotas[].available_in_ms: when the next call could be sent, by all windows of the endpoint; absent while that
 *   depends on calls in flight.
 * - quotas[].closed_ms, closed_by: while the service keeps the endpoint closed after a 429.
 * - log.kind: where the call log is: "process", "file" or "redis" (options quota_file, quota_redis).
 * - log.place: the file or server.
 * - log.trouble: the current problem with the call log; absent if there is none.
 * - known: false if the tenant and application are not known yet, which can be only before the first call. All figures
 *   but the limits are absent then.
 * @param client The client.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The document has the figures.
 */
MDE_API
mde_status mde_get_quota(const mde_client *client,
                         char **out_json);

/** @} */

/** @name Access
 * @{ */

/**
 * Checks the access: signs in, compares the permissions with what each function needs, reaches the sign-in host and
 * the API host, and reads one device. The first thing to call where a program is set up.
 *
 * Succeeds whatever it finds, so look at ok. A step that fails does not end the check. Nothing is retried, and nothing
 * is changed in the tenant. A new token takes the place of the one in use. Each step has a part of timeout_ms. Once that
 * time is over, the steps that are left fail with "deadline".
 *
 * The document: {"access":{"ok":false,"steps":[{"step":"sign_in_host","result":"ok"},{"step":"sign_in","result":
 * "failed","error":{...}},...],"identity":{...},"functions":[{"function":"mde_get_action","allowed":true},...],
 * "sign_in_host":{...},"api_host":{...}}}
 * - ok: true if no step has failed. "permissions" fails if any function is not allowed: see functions for those that you
 *   call.
 * - steps: always "sign_in_host", "sign_in", "permissions", "api_host", "api" and "clock".
 * - steps[].result: "ok", "failed" or "skipped" (not needed, or what it needs has failed).
 * - steps[].error: as in a failure document; its message says what happened and what to do.
 * - identity: kind ("application", "user" or "unknown"), tenant, application, object, user, permissions, expires_at.
 *   Absent if there is no token; "unknown" if it is not readable.
 * - functions[].lacks: the permissions to grant. functions is absent while the permissions are not known.
 * - sign_in_host, api_host: host, port, proxy, addresses, tls, issuer, http_status, ms, clock_ahead_s. Absent if the
 *   client does not use the host: a token callback and access_token need no sign-in host.
 *
 * Quota: "machines", once, if there is a token. Permission: Machine.Read.All, for that request.
 * Source: Microsoft Defender for Endpoint, "List machines API", and for the permissions the page of each function's API.
 * @param client The client.
 * @param cancel Ends the call early; may be NULL.
 * @param out_json The document, or the failure document; may be NULL.
 * @retval MDE_OK The check was made. The document has what it found.
 */
MDE_API
mde_status mde_check_access(const mde_client *client,
                            const mde_cancel *cancel,
                            char **out_json);

/** @} */

/** @name Clients
 * @{ */

/**
 * Makes a client from a copy of the options.
 *
 * Checks that they fit together, and reads ca_file and the files that sign-in needs. Opens no connection, so a wrong
 * secret shows with the first call.
 * @param options The settings of the client.
 * @param out_client The client, for mde_client_free(); NULL on failure.
 * @param out_json NULL on success, else the failure document; may be NULL.
 * @retval MDE_OK The client was made.
 * @retval MDE_ERR_NULL options or out_client is NULL.
 * @retval MDE_ERR_CONFIG The options do not fit together.
 * @retval MDE_ERR_TLS The system has no usable certificate store and ca_file names none.
 */
MDE_API
mde_status mde_client_new(const mde_options *options,
                          mde_client **out_client,
                          char **out_json);

/**
 * Refuses new calls on a client, ends running ones with MDE_ERR_CLOSED, and waits for them.
 *
 * A callback of a call on the same client is refused, since it would wait for its own call. Nothing is ended then.
 * @param client The client. It still has to be freed.
 * @param timeout_ms The longest time to wait.
 * @retval MDE_OK No call is left.
 * @retval MDE_ERR_NULL client is NULL.
 * @retval MDE_ERR_INVALID_ARGUMENT A callback of a call on this client called.
 * @retval MDE_ERR_DEADLINE Calls still run; do not free the client yet.
 * @retval MDE_ERR_FORKED The client was made before a fork.
 */
MDE_API
mde_status mde_client_shutdown(const mde_client *client,
                               uint64_t timeout_ms);

/**
 * Frees a client and closes its connections.
 *
 * No thread may be inside a call on it: end them with mde_client_shutdown() first. The call log of its quota
 * stays in the process.
 * @param client May be NULL.
 */
MDE_API
void mde_client_free(mde_client *client);

/** @} */

/** @name Options
 * @{ */

/**
 * Makes options with every default.
 * @return Options for mde_options_free(). NULL only after a defect in the library.
 */
MDE_API
mde_options *mde_options_new(void);

/**
 * Frees options and wipes the secrets in them. Clients made from them stay as they are.
 * @param options May be NULL.
 */
MDE_API
void mde_options_free(mde_options *options);

/**
 * Sets one option by name. The value is checked at once; on failure nothing changes.
 * @param options The options to change.
 * @param name Its name; docs/options.md lists them.
 * @param value Its value, as text.
 * @param out_json NULL on success, else the failure document; may be NULL.
 * @retval MDE_OK The option is set.
 * @retval MDE_ERR_NULL options, name or value is NULL.
 * @retval MDE_ERR_UTF8 name or value is not UTF-8.
 * @retval MDE_ERR_CONFIG The name is unknown or the value not accepted; the message names the accepted ones.
 */
MDE_API
mde_status mde_options_set(mde_options *options,
                           const char *name,
                           const char *value,
                           char **out_json);

/**
 * Sets many options: all of them or, on failure, none.
 * @param options The options to change.
 * @param json An object of names and values, for example {"cloud":"eu","timeout_ms":60000}. Values are strings, or
 * numbers where the option is a number.
 * @param out_json NULL on success, else the failure document; may be NULL.
 * @retval MDE_OK The options are set.
 * @retval MDE_ERR_NULL options or json is NULL.
 * @retval MDE_ERR_UTF8 json is not UTF-8.
 * @retval MDE_ERR_INVALID_ARGUMENT json is no JSON object.
 * @retval MDE_ERR_CONFIG A name is unknown or a value not accepted; the message names the accepted ones.
 */
MDE_API
mde_status mde_options_set_json(mde_options *options,
                                const char *json,
                                char **out_json);

/**
 * Sets the callback that gets access tokens. It replaces an earlier one.
 * @param options The options to change.
 * @param callback The callback.
 * @param user_data Passed to every call of the callback; may be NULL.
 * @param free_user_data Called once, with user_data, when neither these options nor a client made from them uses the
 * callback any more; may be NULL.
 * @retval MDE_OK The provider is set.
 * @retval MDE_ERR_NULL options or callback is NULL. Nothing changed, and user_data remains the caller's.
 */
MDE_API
mde_status mde_options_set_token_provider(mde_options *options,
                                          mde_token_fn callback,
                                          void *user_data,
                                          mde_free_fn free_user_data);

/**
 * Sets the callback that signs with the key of the certificate that signs in. It replaces an earlier one.
 *
 * The option client_certificate then has the certificate alone, and its issuers after it. The key may be in a TPM, an HSM,
 * a store or a vault. A file is read again for every token request, so it may have another certificate later. The data to
 * sign says which one is in use. It begins with the header of a JWT in base64url, up to the first dot. The member x5t#S256
 * (PS256) or x5t (RS256) of the header is the certificate's SHA-256 or SHA-1, in base64url too. A callback chooses its
 * key by that. Keep both keys until the new certificate is in use.
 * @param options The options to change.
 * @param callback The callback.
 * @param user_data Passed to every call of the callback; may be NULL.
 * @param free_user_data Called once, with user_data, when neither these options nor a client made from them uses the
 * callback any more; may be NULL.
 * @retval MDE_OK The signer is set.
 * @retval MDE_ERR_NULL options or callback is NULL. Nothing changed, and user_data remains the caller's.
 */
MDE_API
mde_status mde_options_set_signer(mde_options *options,
                                  mde_sign_fn callback,
                                  void *user_data,
                                  mde_free_fn free_user_data);

/** @} */

/** @name Cancel handles
 * @{ */

/**
 * Makes a handle that stops all calls that use it.
 *
 * They end with MDE_ERR_CANCELLED when it is triggered, and with MDE_ERR_DEADLINE when its time is over.
 * @param timeout_ms The time from now until the deadline; 0 for none.
 * @return A handle for mde_cancel_free(). NULL only after a defect in the library.
 */
MDE_API
mde_cancel *mde_cancel_new(uint64_t timeout_ms);

/**
 * Ends every call that uses the handle, now and later. A call inside one of your callbacks ends when that returns.
 *
 * It may be called from any thread, any number of times.
 * @param cancel May be NULL.
 */
MDE_API
void mde_cancel_trigger(const mde_cancel *cancel);

/**
 * Frees a cancel handle that no call uses any more.
 * @param cancel May be NULL.
 */
MDE_API
void mde_cancel_free(mde_cancel *cancel);

/** @} */

/** @name Token callback
 * @{ */

/**
 * Sets the token from inside a token callback.
 * @param sink The sink that the callback received.
 * @param token The access token alone, without the word Bearer; it is copied.
 * @param expires_in_seconds How long it is valid from now. 0: unknown, and the callback is called for every request.
 * @retval MDE_OK The token is set.
 * @retval MDE_ERR_NULL sink or token is NULL.
 * @retval MDE_ERR_UTF8 The token is not UTF-8.
 * @retval MDE_ERR_INVALID_ARGUMENT The token is empty, longer than 32 KiB, or not of visible ASCII characters alone.
 */
MDE_API
mde_status mde_token_set(mde_token_sink *sink,
                         const char *token,
                         uint64_t expires_in_seconds);

/** @} */

/** @name Signing callback
 * @{ */

/**
 * Sets the signature from inside a signing callback.
 * @param sink The sink that the callback received.
 * @param signature The bare signature, as long as the modulus of the key, without any encoding; it is copied.
 * @param size Its length in bytes.
 * @retval MDE_OK The signature is set. It is checked when the callback has returned.
 * @retval MDE_ERR_NULL sink or signature is NULL.
 * @retval MDE_ERR_INVALID_ARGUMENT The signature is empty or longer than 1024 bytes.
 */
MDE_API
mde_status mde_signature_set(mde_signature_sink *sink,
                             const uint8_t *signature,
                             uint64_t size);

/**
 * The time that a signing callback has left, in milliseconds. It may be called more than once.
 * @param sink The sink that the callback received.
 * @return The time until the deadline of the call; 0 once that has passed or the call was stopped; UINT64_MAX if the call
 * has no deadline. 0 for NULL.
 */
MDE_API
uint64_t mde_signature_time_left_ms(const mde_signature_sink *sink);

/** @} */

/** @name Log callback
 * @{ */

/**
 * Sends log lines to a callback, for the whole process. It replaces an earlier one.
 *
 * A call of the earlier callback may still run on another thread when this returns. Its own `free_user_data` is called
 * when the last such call has ended, maybe on that thread.
 * @param callback The callback. NULL switches logging off, which is the default.
 * @param user_data Passed to every call of the callback; may be NULL.
 * @param free_user_data Called once, with user_data, when no call of the callback can come any more; may be NULL.
 * @param level The least important level that is sent; MDE_LOG_OFF switches logging off.
 * @retval MDE_OK The callback is set, or logging is off.
 * @retval MDE_ERR_INVALID_ARGUMENT There is no such level. Nothing changed, and user_data remains the caller's.
 */
MDE_API
mde_status mde_log_set(mde_log_fn callback,
                       void *user_data,
                       mde_free_fn free_user_data,
                       int32_t level);

/** @} */

/** @name The library itself
 * @{ */

/**
 * The version of the library. Only the ABI must match; see mde_abi_version().
 * @return For example "0.1.0". Static; never freed.
 */
MDE_API
const char *mde_version(void);

/**
 * The ABI of the library.
 * @return A number. If it is not MDE_HEADER_ABI_VERSION, the program must not call any further function.
 */
MDE_API
uint32_t mde_abi_version(void);

/**
 * The name of a status, as in the member name of failure documents.
 * @param status Any number.
 * @return For example "rate_limited" for MDE_ERR_RATE_LIMITED; "unknown" for other numbers. Static; never freed.
 */
MDE_API
const char *mde_status_name(mde_status status);

/**
 * Frees a string of this library.
 * @param text May be NULL.
 */
MDE_API
void mde_string_free(char *text);

/**
 * Reads one value out of a JSON document, so that plain C needs no JSON library.
 * @param json Any JSON document.
 * @param json_pointer Where the value is (RFC 6901), for example "/action/id" or "/actions/0/status"; "" is the whole
 * document.
 * @param out_value The text of a string without quotes and escapes; the JSON text of a number, true, false, object or
 * array; NULL for the JSON value null. For mde_string_free(). NULL on failure.
 * @retval MDE_OK The value was read.
 * @retval MDE_ERR_NULL json, json_pointer or out_value is NULL.
 * @retval MDE_ERR_UTF8 json or json_pointer is not UTF-8.
 * @retval MDE_ERR_NOT_FOUND There is no such value.
 * @retval MDE_ERR_INVALID_ARGUMENT json is not JSON, json_pointer is no JSON pointer, or the string holds U+0000.
 */
MDE_API
mde_status mde_json_get(const char *json,
                        const char *json_pointer,
                        char **out_value);

/** @} */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MDE_H */
