/*
 * mde/cancellation.hpp: stopping calls.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_CANCELLATION_HPP
#define MDE_CANCELLATION_HPP

#include "library.hpp"
#include "detail/time.hpp"

#include <chrono>
#include <cstdint>
#include <memory>

#if MDE_HPP_STANDARD >= 202002L && __has_include(<stop_token>)
#include <stop_token>
#endif

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

struct free_cancel {
    void operator()(mde_cancel *handle) noexcept {
        // Released first, because it may be about to trigger the handle.
        trigger.reset();
        mde_cancel_free(handle);
    }
    std::shared_ptr<void> trigger{};
};

}  // namespace detail

/**
 * Stops the calls that it is given to, from any thread or after a time. Converts from a time or a stop token:
 *
 *     client.get_action(id, std::chrono::seconds(30));   // status::deadline when it takes longer
 *     client.get_action(id, stop_token);                 // C++20: status::cancelled once stop is requested
 *     client.get_action(id, cancel);                     // cancel.trigger() from another thread
 *
 * It must outlive the calls that use it, and must not be moved meanwhile.
 */
class cancellation {
public:
    /** Stops when it is triggered. */
    cancellation() : cancellation(made(0)) {}

    /**
     * Stops when it is triggered, or when this time has passed from now. Zero, a negative time and NaN are one
     * millisecond. The longest times never pass.
     */
    template <class Rep, class Period>
    cancellation(std::chrono::duration<Rep, Period> timeout) : cancellation(made(detail::to_ms(timeout, 1))) {}

#if defined(__cpp_lib_jthread)
    /** Stops when it is triggered, or when stop is requested. */
    cancellation(const std::stop_token &stop) : cancellation() { follow(stop); }

    /** Stops when it is triggered, when stop is requested, or when this time has passed. */
    template <class Rep, class Period>
    cancellation(const std::stop_token &stop, std::chrono::duration<Rep, Period> timeout) : cancellation(timeout) {
        follow(stop);
    }
#endif

    /** Stops nothing. It is the default of all calls. */
    static cancellation never() noexcept { return cancellation(nullptr); }

    /** Ends every call that uses it, now and later. May be called from any thread, but not in a signal handler. */
    void trigger() const noexcept {
        if (handle_) {
            mde_cancel_trigger(handle_.get());
        }
    }

    /** The handle for the functions of mde.h; NULL if it stops nothing. */
    const mde_cancel *handle() const noexcept { return handle_.get(); }

private:
    explicit cancellation(mde_cancel *handle) noexcept : handle_(handle) {}

    /** A time of 0 means no deadline. */
    static mde_cancel *made(std::int64_t timeout_ms) noexcept {
        return detail::abi_fits() ? mde_cancel_new(static_cast<std::uint64_t>(timeout_ms)) : nullptr;
    }

#if defined(__cpp_lib_jthread)
    void follow(const std::stop_token &stop) {
        if (handle_) {
            auto trigger = [handle = handle_.get()]() noexcept { mde_cancel_trigger(handle); };
            handle_.get_deleter().trigger = std::make_shared<std::stop_callback<decltype(trigger)>>(stop, trigger);
        }
    }
#endif

    std::unique_ptr<mde_cancel, detail::free_cancel> handle_;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_CANCELLATION_HPP
