/*
 * mde/error.hpp: errors of calls.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_ERROR_HPP
#define MDE_ERROR_HPP

#include "action.hpp"
#include "document.hpp"
#include "fleet.hpp"
#include "package.hpp"
#include "status.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/**
 * The reason why a call failed. result<T>::value() throws it, and result<T>::error() returns it. what() has the name and
 * the message: "rate_limited (80): the quota ...". Copies share the document and do not throw.
 */
class error : public std::runtime_error {
public:
    error(mde::status code, document json, std::exception_ptr cause = nullptr)
        : std::runtime_error(describe(code, json)), json_(std::move(json)), cause_(std::move(cause)), status_(code) {}

    /** An error without a document: of functions that return none, or of this header. */
    error(mde::status code, const std::string &message) : std::runtime_error(message), status_(code) {}

    mde::status status() const noexcept { return status_; }
    /** What happened and what to do, in English. */
    std::string message() const { return json_.get("/error/message").value_or(what()); }
    /** Whether the same call may succeed later. */
    bool retryable() const { return json_.get<bool>("/error/retryable").value_or(false); }
    /** How long to wait before trying again; nothing if that is not known. */
    std::optional<std::chrono::milliseconds> retry_after() const {
        return json_.get<std::chrono::milliseconds>("/error/retry_after_ms");
    }
    /** Whether the request may have been carried out although the call failed. Check before repeating it. */
    bool outcome_unknown() const { return json_.get("/error/outcome") == "unknown"; }
    /** The status of the HTTP reply, if there was one. */
    std::optional<int> http_status() const { return json_.get<int>("/error/http_status"); }
    /** The stage of the call: token, quota, send, reply, wait, link, download or verify. */
    std::optional<std::string> stage() const { return json_.get("/error/stage"); }
    /** The machine action of the call. */
    std::optional<std::string> action_id() const { return json_.get("/error/action_id"); }
    /** The last state of that action. */
    std::optional<machine_action> action() const {
        const auto last = json_.get<document>("/error/action");
        return last ? std::optional<machine_action>(last->as<machine_action>()) : std::nullopt;
    }
    /** The package that was refused and kept, as unsafe or damaged. A damaged one has no contents. */
    std::optional<mde::package> package() const {
        const auto kept = json_.get<document>("/package");
        return kept ? std::optional<mde::package>(kept->as<mde::package>()) : std::nullopt;
    }
    /** How each device stands, if the call was client::fetch_packages(). */
    std::optional<fetched_packages> packages() const {
        auto known = json_.as<fetched_packages>();
        const bool has_any = !known.summary.json.text().empty();
        return has_any ? std::optional<fetched_packages>(std::move(known)) : std::nullopt;
    }
    /** The id that the service's support needs. */
    std::optional<std::string> request_id() const { return json_.get("/error/request_id"); }
    /** The whole failure document, {"error":{...},...}, or an empty one. */
    const document &json() const noexcept { return json_; }
    /** The exception of a callback that stopped the call; null if there was none. */
    const std::exception_ptr &cause() const noexcept { return cause_; }

private:
    static std::string describe(mde::status code, const document &json) {
        return std::string(name(code)) + " (" + std::to_string(static_cast<std::int32_t>(code)) +
               "): " + json.get("/error/message").value_or("no details");
    }

    document json_{};
    std::exception_ptr cause_{};
    mde::status status_;
};

inline std::optional<mde::error> device_package::error() const {
    const auto code = json.get<std::int32_t>("/error/status");
    return code ? std::optional<mde::error>(mde::error(static_cast<status>(*code), json)) : std::nullopt;
}

}  // inline namespace
}  // namespace mde

#endif  // MDE_ERROR_HPP
