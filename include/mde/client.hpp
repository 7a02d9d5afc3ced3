/*
 * mde/client.hpp: the operations.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_CLIENT_HPP
#define MDE_CLIENT_HPP

#include "access.hpp"
#include "cancellation.hpp"
#include "fleet.hpp"
#include "machine.hpp"
#include "options.hpp"
#include "package.hpp"
#include "progress.hpp"
#include "quota.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

struct free_client {
    void operator()(mde_client *handle) const noexcept {
        /* Refused in a callback of a call on this client, which still needs it: it is then never freed. */
        if (mde_client_shutdown(handle, UINT64_MAX) != MDE_ERR_INVALID_ARGUMENT) {
            mde_client_free(handle);
        }
    }
};

}  // namespace detail

/**
 * One identity against one service. Many threads may call its operations at once. Each blocks the calling thread. The C
 * function of the same name, with mde_ before it, is described in mde.h.
 *
 * The destructor shuts the client down and waits for running calls. No call may begin any more, and no callback of one
 * of its calls may destroy it.
 */
class client {
public:
    /** Makes a client from a copy of the options; opens no connection. */
    static result<client> make(const options &from) {
        mde_client *handle = nullptr;
        const result<document> answer = detail::call(mde_client_new, from.handle(), &handle);
        return answer ? result<client>(client(handle)) : answer.error();
    }

#if MDE_HPP_EXCEPTIONS
    /** Makes a client from a copy of the options. Throws mde::error. */
    explicit client(const options &from) : client(make(from).value()) {}
#endif

    /**
     * Refuses new calls, ends running ones with status::closed, and waits at most this time for them. Zero or less
     * does not wait. status::deadline: some still run. No callback of one of its calls may call it.
     */
    template <class Rep, class Period>
    result<void> shutdown(std::chrono::duration<Rep, Period> timeout) const {
        const auto ms = static_cast<std::uint64_t>(detail::to_ms(timeout, 0));
        return detail::done(mde_client_shutdown(handle_.get(), ms), "calls still run, or no client");
    }

    /** Collects a package, waits for it, downloads and checks it. After an interruption the same call resumes. */
    result<fetched> fetch_package(const string_arg &machine_id, const string_arg &comment, const string_arg &path,
                                   const progress_fn &progress = nullptr,
                                   const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<fetched>(detail::call(mde_fetch_package, handle(), text("machine_id", machine_id), text("comment", comment),
                            text("path", path), detail::function_of(progress), detail::data_of(progress),
                            cancel.handle()));
    }

    /**
     * Fetches the packages of many devices into a folder, at the speed of the quota. The folder holds the job: the same
     * call resumes it, and asks no device twice. The devices are JSON, such as the document of find_machines(); "[]"
     * resumes. status::incomplete: some have no package. error::packages() has all devices, whatever ended the call.
     */
    result<fetched_packages> fetch_packages(const string_arg &devices_json, const string_arg &comment,
                                            const string_arg &folder, const progress_fn &progress = nullptr,
                                            const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<fetched_packages>(detail::call(mde_fetch_packages, handle(), text("devices_json", devices_json),
                            text("comment", comment), text("folder", folder), detail::function_of(progress),
                            detail::data_of(progress), cancel.handle()));
    }

    /**
     * Finds devices, with the reasons why a collection on them may not start or end: by id, name or address, or all of a
     * selection, such as "tag:DMZ and not os:Linux". mde_find_machines in mde.h explains queries.
     */
    result<found> find_machines(const string_arg &query, const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<found>(detail::call(mde_find_machines, handle(), text("query", query), cancel.handle()));
    }

    /** Requests a package. Returns as soon as the service has accepted the request. */
    result<collected> collect_package(const string_arg &machine_id, const string_arg &comment,
                                     const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<collected>(detail::call(mde_collect_package, handle(), text("machine_id", machine_id), text("comment", comment),
                            cancel.handle()));
    }

    /** Waits until the action has succeeded. Its other ends are errors. */
    result<machine_action> wait_action(const string_arg &action_id, const progress_fn &progress = nullptr,
                                 const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<machine_action>(detail::call(mde_wait_action, handle(), text("action_id", action_id), detail::function_of(progress),
                            detail::data_of(progress), cancel.handle()), "action");
    }

    /** Reads the action. */
    result<machine_action> get_action(const string_arg &action_id, const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<machine_action>(detail::call(mde_get_action, handle(), text("action_id", action_id), cancel.handle()), "action");
    }

    /** Lists the actions, newest first. An empty filter lists all. */
    result<listed> list_actions(const string_arg &odata_filter = {},
                                  const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<listed>(detail::call(mde_list_actions, handle(), text("odata_filter", odata_filter), cancel.handle()));
    }

    /** Cancels the action, and waits until it has ended. */
    result<ended> cancel_action(const string_arg &action_id, const string_arg &comment,
                                   const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<ended>(detail::call(mde_cancel_action, handle(), text("action_id", action_id), text("comment", comment),
                            cancel.handle()));
    }

    /** Gets the link of a package, which is valid for about a minute. */
    result<package_uri> get_package_uri(const string_arg &action_id,
                                     const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<package_uri>(detail::call(mde_get_package_uri, handle(), text("action_id", action_id), cancel.handle()));
    }

    /** Downloads a package. The file appears at its path only after it was checked. */
    result<package> download_package(const string_arg &action_id, const string_arg &path,
                                      const progress_fn &progress = nullptr,
                                      const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<package>(detail::call(mde_download_package, handle(), text("action_id", action_id), text("path", path),
                            detail::function_of(progress), detail::data_of(progress), cancel.handle()), "package");
    }

    /** Reports how much of each quota is used. Sends nothing. */
    result<mde::quota_status> get_quota() const { return detail::read_from<mde::quota_status>(detail::call(mde_get_quota, handle())); }

    /**
     * Checks whom the client signs in as, what that identity may do, and how the hosts are reached. Succeeds whatever it
     * finds: see checked_access::ok. Changes nothing.
     */
    result<checked_access> check_access(const cancellation &cancel = cancellation::never()) const {
        return detail::read_from<checked_access>(detail::call(mde_check_access, handle(), cancel.handle()), "access");
    }

    /** The handle for the functions of mde.h; NULL if the client was moved from. */
    const mde_client *handle() const noexcept { return handle_.get(); }

private:
    using text = detail::text;

    explicit client(mde_client *handle) noexcept : handle_(handle) {}

    std::unique_ptr<mde_client, detail::free_client> handle_;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_CLIENT_HPP
