/*
 * mde/quota.hpp: how much of each quota is used.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_QUOTA_HPP
#define MDE_QUOTA_HPP

#include "document.hpp"
#include "detail/read.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** One window of one endpoint's quota, for this process or for all processes that share the call log. */
struct quota_window {
    /** "collect", "read", "list", "cancel", "link" or "machines". */
    std::string endpoint{};
    /** Calls that fit into the window. */
    std::uint64_t limit = 0;
    /** Length of the window. */
    std::chrono::milliseconds window{0};
    /** Calls that occupy a slot now. This and the following are absent while the tenant of the quota is unknown. */
    std::optional<std::uint64_t> used{};
    /** Calls whose reply has not arrived. */
    std::optional<std::uint64_t> in_flight{};
    /** Calls that wait for a slot. */
    std::optional<std::uint64_t> queued{};
    /** When the next call could be sent, from now; absent while that depends on a call in flight. */
    std::optional<std::chrono::milliseconds> available_in{};
    /** How long the endpoint stays closed after a 429. */
    std::optional<std::chrono::milliseconds> closed_for{};
    /** The object that this was read from. */
    document json{};
};

/** Where the call log is kept. */
struct quota_log {
    /** "process", "file" or "redis". */
    std::string kind{};
    /** The file's path or the server's address. */
    std::optional<std::string> place{};
    /** The present problem with it; absent if there is none. */
    std::optional<std::string> trouble{};
    /** The object that this was read from. */
    document json{};
};

/** The result of client::get_quota(). */
struct quota_status {
    /** One for each endpoint and window. */
    std::vector<quota_window> quotas{};
    /** Where the call log is kept. */
    quota_log log{};
    /** False while the tenant of the quota is unknown. Only the limits are known then. */
    bool known = true;
    /** The whole document. */
    document json{};
};

namespace detail {

inline void take(const json_member &from, quota_window &to) {
    from.into("endpoint", to.endpoint)
        .into("limit", to.limit)
        .into("window_s", to.window)
        .into("used", to.used)
        .into("in_flight", to.in_flight)
        .into("queued", to.queued)
        .into("available_in_ms", to.available_in)
        .into("closed_ms", to.closed_for);
}

inline void take(const json_member &from, quota_log &to) {
    from.into("kind", to.kind).into("place", to.place).into("trouble", to.trouble);
}

inline void take(const json_member &from, quota_status &to) {
    from.into("quotas", to.quotas).into("log", to.log).into("known", to.known);
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_QUOTA_HPP
