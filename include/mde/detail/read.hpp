/*
 * mde/detail/read.hpp: reads structs from documents.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_READ_HPP
#define MDE_DETAIL_READ_HPP

#include "../document.hpp"
#include "json.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

/** One member of an object. The last of several with one name counts, as in document::get(). */
class json_member {
public:
    json_member(std::string_view name, json_value value) : name_(name), value_(value) {}

    /** Reads the value if this is the member of that name. A value of another type counts as absent. */
    template <class T>
    const json_member &into(std::string_view name, T &to) const {
        if (name == name_) {
            read(value_, to);
        }
        return *this;
    }

private:
    std::string_view name_;
    json_value value_;
};

inline void read(const json_value &from, std::optional<std::string> &to) { to = string_in(from.text); }

inline void read(const json_value &from, std::string &to) { to = string_in(from.text).value_or(std::string()); }

inline void read(const json_value &from, bool &to) noexcept { to = from.text == "true"; }

inline void read(const json_value &from, std::uint64_t &to) noexcept {
    to = integer_in<std::uint64_t>(from.text).value_or(0);
}

inline void read(const json_value &from, std::optional<std::uint64_t> &to) noexcept {
    to = integer_in<std::uint64_t>(from.text);
}

/** Reads a number of seconds. */
inline void read(const json_value &from, std::chrono::milliseconds &to) noexcept {
    to = seconds_in(from.text).value_or(std::chrono::milliseconds::zero());
}

/** Reads a number of milliseconds. A job over many devices may need months. */
inline void read(const json_value &from, std::optional<std::chrono::milliseconds> &to) noexcept {
    const auto count = integer_in<std::chrono::milliseconds::rep>(from.text);
    to = count && *count >= 0 ? std::optional<std::chrono::milliseconds>(*count) : std::nullopt;
}

/** Reads a number of seconds that may be negative. */
inline void read(const json_value &from, std::optional<std::chrono::seconds> &to) noexcept {
    const auto count = integer_in<std::chrono::seconds::rep>(from.text);
    to = count ? std::optional<std::chrono::seconds>(*count) : std::nullopt;
}

/** Reads a struct, whose `take` names the members. A value that is no object has no members. */
template <class T, class = decltype(take(std::declval<const json_member &>(), std::declval<T &>()))>
void read(const json_value &from, T &to) {
    to = T();
    if (from.text.empty() || from.text.front() != '{') {
        return;
    }
    to.json = from.part();
    each_member(from.text, [&](std::string_view quoted, std::string_view text) {
        const bool escaped = quoted.find('\\') != std::string_view::npos;
        const std::string plain = escaped ? string_in(quoted).value_or(std::string()) : std::string();
        const std::string_view name = escaped ? std::string_view(plain) : quoted.substr(1, quoted.size() - 2);
        take(json_member(name, json_value{from.whole, text}), to);
    });
}

/** Reads a struct that may be absent. */
template <class T, class = decltype(take(std::declval<const json_member &>(), std::declval<T &>()))>
void read(const json_value &from, std::optional<T> &to) {
    to.reset();
    if (!from.text.empty() && from.text.front() == '{') {
        read(from, to.emplace());
    }
}

template <class T>
void read(const json_value &from, std::vector<T> &to) {
    to.clear();
    each_element(from.text, [&](std::string_view element) { read(json_value{from.whole, element}, to.emplace_back()); });
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_READ_HPP
