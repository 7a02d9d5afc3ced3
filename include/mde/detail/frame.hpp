/*
 * mde/detail/frame.hpp: carries exceptions of callbacks past the C library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_FRAME_HPP
#define MDE_DETAIL_FRAME_HPP

#include "config.hpp"

#include <exception>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

/** Holds a callback's exception until the call on this thread has returned from the C library. */
struct frame {
    frame() noexcept : outer(innermost()) { innermost() = this; }
    frame(const frame &) = delete;
    frame &operator=(const frame &) = delete;
    ~frame() { innermost() = outer; }
    static frame *&innermost() noexcept {
        static thread_local frame *on_this_thread = nullptr;
        return on_this_thread;
    }

    std::exception_ptr from_progress{};
    std::exception_ptr from_provider{};
    frame *const outer;
};

/** Frees a callback that the library kept. */
template <class Callback>
void free_callback(void *user_data) noexcept {
    delete static_cast<Callback *>(user_data);
}

/** Runs a callback and keeps its exception. */
template <class Callback>
std::exception_ptr thrown_by(const Callback &callback) noexcept {
#if MDE_HPP_EXCEPTIONS
    try {
        callback();
    } catch (...) {
        return std::current_exception();
    }
#else
    callback();
#endif
    return nullptr;
}

/** Runs a callback that provides something, and keeps its exception for the call on this thread. */
template <class Callback>
void provide(const Callback &callback) noexcept {
    const std::exception_ptr thrown = thrown_by(callback);
    // A call through mde.h has no frame. The exception of an earlier attempt in the same call is dropped.
    if (frame::innermost() != nullptr) {
        frame::innermost()->from_provider = thrown;
    }
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_FRAME_HPP
