/*
 * mde/string_arg.hpp: how strings and paths go in.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_STRING_ARG_HPP
#define MDE_STRING_ARG_HPP

#include "detail/config.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/**
 * A string argument, UTF-8, read during the call only: whatever a std::string_view can be made of, or a
 * std::filesystem::path. A null pointer, which is what std::getenv() gives for a variable that is not set, makes the
 * call fail with status::null.
 */
class string_arg {
public:
    /** The empty string. */
    string_arg() noexcept = default;
    string_arg(const char *text) noexcept : view_(text != nullptr ? text : ""), is_null_(text == nullptr) {}
    string_arg(std::nullptr_t) = delete;
    template <class Text, std::enable_if_t<std::is_convertible_v<const Text &, std::string_view> &&
                                               !std::is_pointer_v<std::decay_t<Text>>, int> = 0>
    string_arg(const Text &text) : view_(text) {}

    /** A std::filesystem::path, whose own char form is not UTF-8 on Windows; its header is not needed here. */
    template <class Path, class = decltype(std::declval<const Path &>().u8string())>
    string_arg(const Path &path) {
        const auto utf8 = path.u8string();
        converted_.assign(utf8.begin(), utf8.end());
        view_ = converted_;
    }

    string_arg(const string_arg &) = delete;
    string_arg &operator=(const string_arg &) = delete;

    /** Empty for a null pointer. */
    std::string_view view() const noexcept { return view_; }
    bool is_null() const noexcept { return is_null_; }
    /** Whether there is a NUL inside, at which C would cut it short. */
    bool has_nul() const noexcept { return view_.find('\0') != std::string_view::npos; }

private:
    std::string converted_{};
    std::string_view view_{};
    bool is_null_ = false;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_STRING_ARG_HPP
