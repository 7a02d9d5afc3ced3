/*
 * mde/fleet.hpp: packages of many devices.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_FLEET_HPP
#define MDE_FLEET_HPP

#include "action.hpp"
#include "document.hpp"
#include "package.hpp"
#include "detail/read.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

class error;

/** One device of a job over many, and how far it is. */
struct device_package {
    /** The device. */
    std::string machine_id{};
    /**
     * "done"; "failed", with the error; "skipped", with the problems; and of a device without an outcome "queued",
     * "waiting" (for the device, which may be offline), "running" or "ready" (to be downloaded).
     */
    std::string state{};
    /** The package; of a failed device the one that was refused and kept. */
    std::optional<mde::package> package{};
    /** The machine action that collects it. */
    std::optional<machine_action> action{};
    /** Whether the collection was found: it ran already, or the reply was lost and the list showed the action. */
    bool adopted = false;
    /** The problems for which it was skipped; as in machine::problems. */
    std::vector<std::string> problems{};
    /** The object that this was read from. */
    document json{};

    /** Whether it has its outcome. */
    bool has_ended() const { return state == "done" || state == "failed" || state == "skipped"; }

    /**
     * Why it has failed, or why its last request has. If that is retryable, the next call tries the device again. Nothing
     * without a failure.
     */
    std::optional<mde::error> error() const;
};

/** How many devices of a job are how far. */
struct packages_summary {
    /** All devices. */
    std::uint64_t devices = 0;
    /** Those whose package is there. */
    std::uint64_t done = 0;
    /** Those without a package, or with one that was refused. */
    std::uint64_t failed = 0;
    /** Those of which nothing was asked, because a problem is known. */
    std::uint64_t skipped = 0;
    /** Those without an outcome, with which the next call goes on. */
    std::uint64_t unfinished = 0;
    /** The size of all packages that are done. */
    std::uint64_t bytes = 0;
    /** The least time that the quota needs for the rest; nothing if it is not known. */
    std::optional<std::chrono::milliseconds> eta{};
    /** The object that this was read from. */
    document json{};
};

/** The result of client::fetch_packages() and read_packages(). error::packages() has that of a call that failed. */
struct fetched_packages {
    /** One for each device, in the order given. */
    std::vector<device_package> packages{};
    /** How many are how far. */
    packages_summary summary{};
    /** The whole document. */
    document json{};
};

namespace detail {

inline void take(const json_member &from, device_package &to) {
    from.into("machine_id", to.machine_id)
        .into("state", to.state)
        .into("package", to.package)
        .into("action", to.action)
        .into("adopted", to.adopted)
        .into("problems", to.problems);
}

inline void take(const json_member &from, packages_summary &to) {
    from.into("devices", to.devices)
        .into("done", to.done)
        .into("failed", to.failed)
        .into("skipped", to.skipped)
        .into("unfinished", to.unfinished)
        .into("bytes", to.bytes)
        .into("eta_ms", to.eta);
}

inline void take(const json_member &from, fetched_packages &to) {
    from.into("packages", to.packages).into("summary", to.summary);
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

/* It has the error of a device, and needs the structs above. */
#include "error.hpp"

#endif  // MDE_FLEET_HPP
