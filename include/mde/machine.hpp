/*
 * mde/machine.hpp: devices.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_MACHINE_HPP
#define MDE_MACHINE_HPP

#include "document.hpp"
#include "detail/read.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** One device. Only the id is certain. Source: "Machine resource type". */
struct machine {
    /** 40 hexadecimal digits. */
    std::string id{};
    /** The DNS name. Several devices may have the same. */
    std::optional<std::string> name{};
    /** "Windows11", "macOS", "Linux" and so on. */
    std::optional<std::string> os_platform{};
    /** "Active", "Inactive", "ImpairedCommunication", "NoSensorData" and so on. */
    std::optional<std::string> health_status{};
    /** "Onboarded", "CanBeOnboarded", "Unsupported" or "InsufficientInfo". */
    std::optional<std::string> onboarding_status{};
    /** When the device last reported: ISO 8601, UTC. */
    std::optional<std::string> last_seen{};
    /**
     * Reasons why a collection may not start or end: "same_name", "potential_duplicate", "merged", "excluded",
     * "not_onboarded", "unsupported", "offline". Later versions may add more. mde_find_machines in mde.h explains them.
     */
    std::vector<std::string> problems{};
    /** The record as the service sent it, unknown members included. It does not contain the problems. */
    document json{};
};

/** The result of client::find_machines(). */
struct found {
    /** Empty if there is none. */
    std::vector<machine> machines{};
    /** Whether there are more devices than were returned. If so, narrow the query. */
    bool more = false;
    /** The whole document. */
    document json{};
};

namespace detail {

struct machine_check {
    std::vector<std::string> problems{};
    document json{};
};

/** The layout of the document: the checks are an array beside the machines, in the same order. */
struct found_document {
    std::vector<machine> machines{};
    std::vector<machine_check> checks{};
    bool more = false;
    document json{};
};

inline void take(const json_member &from, machine &to) {
    from.into("id", to.id)
        .into("computerDnsName", to.name)
        .into("osPlatform", to.os_platform)
        .into("healthStatus", to.health_status)
        .into("onboardingStatus", to.onboarding_status)
        .into("lastSeen", to.last_seen);
}

inline void take(const json_member &from, machine_check &to) { from.into("problems", to.problems); }

inline void take(const json_member &from, found_document &to) {
    from.into("machines", to.machines).into("checks", to.checks).into("more", to.more);
}

inline void read(const json_value &from, found &to) {
    found_document whole;
    read(from, whole);
    for (std::size_t n = 0; n < whole.machines.size() && n < whole.checks.size(); ++n) {
        whole.machines[n].problems = std::move(whole.checks[n].problems);
    }
    to = found{std::move(whole.machines), whole.more, std::move(whole.json)};
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_MACHINE_HPP
