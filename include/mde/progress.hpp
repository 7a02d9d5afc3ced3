/*
 * mde/progress.hpp: progress events of long calls.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_PROGRESS_HPP
#define MDE_PROGRESS_HPP

#include "document.hpp"
#include "fleet.hpp"
#include "detail/frame.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** One event of a long call. mde_progress_fn in mde.h lists the stages and their members. */
class progress_event {
public:
    progress_event(document json, bool &stopped) noexcept : json_(std::move(json)), stopped_(stopped) {}

    /**
     * "quota", "collect", "wait", "download" or "verify"; of client::fetch_packages() also "fleet" and "ended". Later
     * versions may add stages: ignore them.
     */
    std::string stage() const { return json_.get("/stage").value_or(""); }
    std::optional<std::string> action_id() const { return json_.get("/action_id"); }
    /** Of client::fetch_packages(): the device; nothing if the event is of the whole job. */
    std::optional<std::string> machine_id() const { return json_.get("/machine_id"); }
    /** Of "quota": the endpoint whose quota is used up. */
    std::optional<std::string> endpoint() const { return json_.get("/endpoint"); }
    /** Of "quota": the time until a slot is free, at least; nothing while that depends on other calls. */
    std::optional<std::chrono::milliseconds> wait() const {
        return json_.get<std::chrono::milliseconds>("/wait_ms");
    }
    /** Of "wait": the action's state; nothing while the service does not show the action. */
    std::optional<std::string> action_status() const { return json_.get("/status"); }
    /** Of "wait": the time since this call began to wait. */
    std::chrono::milliseconds elapsed() const {
        return json_.get<std::chrono::milliseconds>("/elapsed_ms").value_or(std::chrono::milliseconds::zero());
    }
    /** Of "wait": the time until the next poll; zero after the last. */
    std::chrono::milliseconds next_poll() const {
        return json_.get<std::chrono::milliseconds>("/next_poll_ms").value_or(std::chrono::milliseconds::zero());
    }
    /** Of "fleet": the number of all devices. */
    std::uint64_t devices() const { return count("/devices"); }
    /** Of "fleet": those whose package is there. */
    std::uint64_t done() const { return count("/done"); }
    /** Of "fleet": those without a package, or with one that was refused. */
    std::uint64_t failed() const { return count("/failed"); }
    /** Of "fleet": those of which nothing was asked, because a problem is known. */
    std::uint64_t skipped() const { return count("/skipped"); }
    /** Of "fleet": those whose collection was asked for and has not ended. */
    std::uint64_t running() const { return count("/running"); }
    /** Of "fleet": those whose package is to be downloaded. */
    std::uint64_t ready() const { return count("/ready"); }
    /** Of "fleet": those whose package is being downloaded. */
    std::uint64_t downloading() const { return count("/downloading"); }
    /** Of "fleet": the least time that the quota needs for the rest; nothing if it is not known. */
    std::optional<std::chrono::milliseconds> eta() const { return json_.get<std::chrono::milliseconds>("/eta_ms"); }
    /** Of "ended": the device with its outcome. */
    std::optional<device_package> device() const {
        return stage() == "ended" ? std::optional<device_package>(json_.as<device_package>()) : std::nullopt;
    }
    /** Of "download" and "verify": the bytes so far. Of "fleet": those of all packages and of parts on disk. */
    std::uint64_t bytes() const { return count("/bytes"); }
    /** Of "download" and "verify": the bytes in all; nothing while that is not known. */
    std::optional<std::uint64_t> total() const { return json_.get<std::uint64_t>("/total"); }
    /** The whole event. */
    const document &json() const noexcept { return json_; }

    /** Ends the call with status::cancelled. A collection that has begun continues; cancel_action() ends it. */
    void stop() const noexcept { stopped_ = true; }

private:
    std::uint64_t count(const char *pointer) const { return json_.get<std::uint64_t>(pointer).value_or(0); }

    document json_;
    bool &stopped_;
};

/** Called on the thread of the call, at most ten times a second. It must not destroy or shut down the client. */
using progress_fn = std::function<void(const progress_event &)>;

namespace detail {

inline std::int32_t on_progress(void *user_data, const char *event_json) noexcept {
    bool stopped = false;
    const std::exception_ptr thrown = thrown_by([&] {
        (*static_cast<const progress_fn *>(user_data))(progress_event(document(event_json), stopped));
    });
    if (thrown) {
        frame::innermost()->from_progress = thrown;
    }
    return stopped || thrown ? 1 : 0;
}

inline mde_progress_fn function_of(const progress_fn &progress) noexcept { return progress ? &on_progress : nullptr; }

/** Refers to the function, which the caller of an operation keeps until it returns. */
inline void *data_of(const progress_fn &progress) noexcept { return const_cast<progress_fn *>(&progress); }

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_PROGRESS_HPP
