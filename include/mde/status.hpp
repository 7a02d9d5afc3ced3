/*
 * mde/status.hpp: results of calls as numbers.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_STATUS_HPP
#define MDE_STATUS_HPP

#include "library.hpp"

#include <cstdint>
#include <string_view>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** The result of a call: the MDE_ERR_ codes of mde.h. A later library may return numbers that have no name here. */
enum class status : std::int32_t {
    ok = MDE_OK,
    null = MDE_ERR_NULL,
    utf8 = MDE_ERR_UTF8,
    invalid_argument = MDE_ERR_INVALID_ARGUMENT,
    config = MDE_ERR_CONFIG,
    closed = MDE_ERR_CLOSED,
    forked = MDE_ERR_FORKED,
    token = MDE_ERR_TOKEN,
    unauthorized = MDE_ERR_UNAUTHORIZED,
    forbidden = MDE_ERR_FORBIDDEN,
    resolve = MDE_ERR_RESOLVE,
    connect = MDE_ERR_CONNECT,
    tls = MDE_ERR_TLS,
    proxy = MDE_ERR_PROXY,
    broken = MDE_ERR_BROKEN,
    protocol = MDE_ERR_PROTOCOL,
    bad_request = MDE_ERR_BAD_REQUEST,
    not_found = MDE_ERR_NOT_FOUND,
    already_running = MDE_ERR_ALREADY_RUNNING,
    not_ready = MDE_ERR_NOT_READY,
    action_failed = MDE_ERR_ACTION_FAILED,
    action_timed_out = MDE_ERR_ACTION_TIMED_OUT,
    action_cancelled = MDE_ERR_ACTION_CANCELLED,
    unsupported_device = MDE_ERR_UNSUPPORTED_DEVICE,
    outcome_unknown = MDE_ERR_OUTCOME_UNKNOWN,
    service = MDE_ERR_SERVICE,
    incomplete = MDE_ERR_INCOMPLETE,
    rate_limited = MDE_ERR_RATE_LIMITED,
    throttled = MDE_ERR_THROTTLED,
    deadline = MDE_ERR_DEADLINE,
    cancelled = MDE_ERR_CANCELLED,
    file = MDE_ERR_FILE,
    disk_full = MDE_ERR_DISK_FULL,
    integrity = MDE_ERR_INTEGRITY,
    unsafe = MDE_ERR_UNSAFE,
    internal = MDE_ERR_INTERNAL,
};

/** The name of a status, for example "rate_limited"; "unknown" if the library does not know the number. */
inline std::string_view name(status code) noexcept {
    return detail::abi_fits() ? mde_status_name(static_cast<std::int32_t>(code)) : "unknown";
}

}  // inline namespace
}  // namespace mde

#endif  // MDE_STATUS_HPP
