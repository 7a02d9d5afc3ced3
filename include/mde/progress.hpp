/*
 * mde/progress.hpp: progress events of long calls.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_PROGRESS_HPP
#define MDE_PROGRESS_HPP

#include "document.hpp"
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

    /** "quota", "collect", "wait", "download" or "verify". Later versions may add stages: ignore them. */
    std::string stage() const { return json_.get("/stage").value_or(""); }
    std::optional<std::string> action_id() const { return json_.get("/action_id"); }
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
    /** Of "download" and "verify": the bytes so far. */
    std::uint64_t bytes() const { return json_.get<std::uint64_t>("/bytes").value_or(0); }
    /** Of "download" and "verify": the bytes in all; nothing while that is not known. */
    std::optional<std::uint64_t> total() const { return json_.get<std::uint64_t>("/total"); }
    /** The whole event. */
    const document &json() const noexcept { return json_; }

    /** Ends the call with status::cancelled. A collection that has begun continues; cancel_action() ends it. */
    void stop() const noexcept { stopped_ = true; }

private:
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
