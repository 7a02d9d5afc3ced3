/*
 * mde/string_arg.hpp: strings and paths as arguments.
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
 * A string argument in UTF-8: anything that converts to a std::string_view, or a std::filesystem::path. It is read
 * only during the call. A null pointer, such as std::getenv() returns for an unset variable, is status::null.
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

    /** A std::filesystem::path. On Windows its char form is not UTF-8. A template needs no header for it. */
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
    /** Whether it contains a NUL, where C would end the string. */
    bool has_nul() const noexcept { return view_.find('\0') != std::string_view::npos; }

private:
    std::string converted_{};
    std::string_view view_{};
    bool is_null_ = false;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_STRING_ARG_HPP
