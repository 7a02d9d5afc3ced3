/*
 * mde/action.hpp: machine actions.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_ACTION_HPP
#define MDE_ACTION_HPP

#include "document.hpp"
#include "detail/read.hpp"

#include <optional>
#include <string>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** One machine action of the service. Only the id is certain. Source: "machineAction resource type". */
struct machine_action {
    /** A GUID. */
    std::string id{};
    /** "Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled", or a state of a later service. */
    std::string status{};
    /** "CollectInvestigationPackage" for the actions that this library starts. */
    std::optional<std::string> kind{};
    /** The device, 40 hexadecimal digits. */
    std::optional<std::string> machine_id{};
    /** The device's DNS name. The service may not know it in an action's first moments. */
    std::optional<std::string> computer_name{};
    /** The user or application that requested the action. */
    std::optional<std::string> requestor{};
    /** The comment given when the action was requested. */
    std::optional<std::string> requestor_comment{};
    /** When the action was created: ISO 8601, UTC, with up to seven fraction digits. */
    std::optional<std::string> created{};
    /** The action as the service sent it, unknown members included. */
    document json{};

    /** Whether the action has reached its end. */
    bool is_final() const {
        return status == "Succeeded" || status == "Failed" || status == "TimeOut" || status == "Cancelled" ||
               status == "Canceled";
    }
};

/** The result of client::collect_package(). */
struct collected {
    /** The action that collects the package. */
    machine_action action{};
    /** Whether the action was found: a collection ran already, or the reply was lost and the list showed the action. */
    bool adopted = false;
    /** The whole document. */
    document json{};
};

/** The result of client::list_actions(). */
struct listed {
    /** Newest first. */
    std::vector<machine_action> actions{};
    /** The whole document. */
    document json{};
};

/** The result of client::cancel_action(). */
struct ended {
    /** The action in its final state. */
    machine_action action{};
    /** Whether that state is Cancelled. If not, the action had already ended in another state. */
    bool cancelled = false;
    /** The whole document. */
    document json{};
};

namespace detail {

inline void take(const json_member &from, machine_action &to) {
    from.into("id", to.id)
        .into("status", to.status)
        .into("type", to.kind)
        .into("machineId", to.machine_id)
        .into("computerDnsName", to.computer_name)
        .into("requestor", to.requestor)
        .into("requestorComment", to.requestor_comment)
        .into("creationDateTimeUtc", to.created);
}

inline void take(const json_member &from, collected &to) {
    from.into("action", to.action).into("adopted", to.adopted);
}

inline void take(const json_member &from, listed &to) { from.into("actions", to.actions); }

inline void take(const json_member &from, ended &to) {
    from.into("action", to.action).into("cancelled", to.cancelled);
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_ACTION_HPP
