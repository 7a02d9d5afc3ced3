/*
 * mde/log.hpp: the log lines of the library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_LOG_HPP
#define MDE_LOG_HPP

#include "result.hpp"
#include "detail/call.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace mde {
inline namespace MDE_HPP_VARIANT {

enum class log_level : std::int32_t {
    off = MDE_LOG_OFF,
    error = MDE_LOG_ERROR,
    warn = MDE_LOG_WARN,
    info = MDE_LOG_INFO,
    debug = MDE_LOG_DEBUG,
};

/** Receives one line of text without secrets. Several threads may call it at once. */
using log_fn = std::function<void(log_level, std::string_view line)>;

namespace detail {

inline void on_log(void *user_data, std::int32_t level, const char *message) noexcept {
    thrown_by([&] { (*static_cast<const log_fn *>(user_data))(static_cast<log_level>(level), message); });
}

}  // namespace detail

/**
 * Sends log lines up to a level to a function, for the whole process. log_level::off or an empty function stops them.
 * The previous function is destroyed when no thread is in it any more, on this thread or the last one in it.
 */
inline result<void> set_log(log_level level, log_fn callback) {
    if (!detail::abi_fits()) {
        return detail::other_abi();
    }
    if (!callback) {
        return detail::done(mde_log_set(nullptr, nullptr, nullptr, MDE_LOG_OFF), "logging cannot be switched off");
    }
    auto kept = std::make_unique<log_fn>(std::move(callback));
    const mde_status code = mde_log_set(detail::on_log, kept.get(), detail::free_callback<log_fn>,
                                        static_cast<std::int32_t>(level));
    if (code == MDE_OK) {
        // The library owns it now, and may have freed it already.
        (void)kept.release();
    }
    return detail::done(code, "level is not a log level");
}

}  // inline namespace
}  // namespace mde

#endif  // MDE_LOG_HPP
