/*
 * mde/detail/json.hpp: reads JSON. Reading stops at the first mistake, and never goes past the end of the text.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_JSON_HPP
#define MDE_DETAIL_JSON_HPP

#include "config.hpp"

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

/** Finds where values begin and end. It counts brackets, so nesting needs no stack. */
class json_scanner {
public:
    explicit json_scanner(std::string_view text) noexcept : text_(text) {}

    /** Skips blanks, and then this character if it comes next. */
    bool takes(char wanted) noexcept {
        pass(blanks);
        if (at_ == text_.size() || text_[at_] != wanted) {
            return false;
        }
        ++at_;
        return true;
    }

    /** The text of the next value; empty if there is no complete one. */
    std::string_view value() noexcept {
        pass(blanks);
        const std::size_t start = at_;
        std::size_t depth = 0;
        do {
            if (at_ == text_.size()) {
                return {};
            }
            const char c = text_[at_];
            if (c == '"') {
                if (!pass_string()) {
                    return {};
                }
            } else if (c == '{' || c == '[') {
                ++depth;
                ++at_;
            } else if (depth == 0) {
                pass_word();
            } else {
                depth -= c == '}' || c == ']' ? 1U : 0U;
                ++at_;
            }
        } while (depth > 0);
        return text_.substr(start, at_ - start);
    }

private:
    static constexpr std::string_view blanks = " \t\r\n";

    void pass(std::string_view characters) noexcept {
        const std::size_t end = text_.find_first_not_of(characters, at_);
        at_ = end != std::string_view::npos ? end : text_.size();
    }

    /** A number, true, false or null. */
    void pass_word() noexcept {
        const std::size_t end = text_.find_first_of(",:[]{}\" \t\r\n", at_);
        at_ = end != std::string_view::npos ? end : text_.size();
    }

    bool pass_string() noexcept {
        for (++at_; at_ < text_.size(); ++at_) {
            if (text_[at_] == '"') {
                ++at_;
                return true;
            }
            at_ += text_[at_] == '\\' ? 1U : 0U;
        }
        at_ = text_.size();
        return false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

/** Calls the function with the name of each member, still escaped, and its value. */
template <class Each>
void each_member(std::string_view object, const Each &each) {
    json_scanner scanner(object);
    if (!scanner.takes('{')) {
        return;
    }
    do {
        const std::string_view name = scanner.value();
        if (name.empty() || name.front() != '"' || !scanner.takes(':')) {
            return;
        }
        const std::string_view value = scanner.value();
        if (value.empty()) {
            return;
        }
        each(name, value);
    } while (scanner.takes(','));
}

/** Calls the function with each element. */
template <class Each>
void each_element(std::string_view array, const Each &each) {
    json_scanner scanner(array);
    if (!scanner.takes('[')) {
        return;
    }
    do {
        const std::string_view element = scanner.value();
        if (element.empty()) {
            return;
        }
        each(element);
    } while (scanner.takes(','));
}

/** The next four hexadecimal digits. */
inline std::optional<std::uint32_t> utf16_unit(std::string_view text) noexcept {
    std::uint32_t unit = 0;
    if (text.size() < 4) {
        return std::nullopt;
    }
    const auto [stopped, problem] = std::from_chars(text.data(), text.data() + 4, unit, 16);
    return problem == std::errc() && stopped == text.data() + 4 ? std::optional<std::uint32_t>(unit) : std::nullopt;
}

inline void append_utf8(std::string &text, std::uint32_t character) {
    const auto byte = [&](std::uint32_t value) { text += static_cast<char>(static_cast<unsigned char>(value)); };
    if (character < 0x80) {
        byte(character);
    } else if (character < 0x800) {
        byte(0xc0U | character >> 6U);
        byte(0x80U | (character & 0x3fU));
    } else if (character < 0x10000) {
        byte(0xe0U | character >> 12U);
        byte(0x80U | (character >> 6U & 0x3fU));
        byte(0x80U | (character & 0x3fU));
    } else {
        byte(0xf0U | character >> 18U);
        byte(0x80U | (character >> 12U & 0x3fU));
        byte(0x80U | (character >> 6U & 0x3fU));
        byte(0x80U | (character & 0x3fU));
    }
}

/** Reads the escape of a UTF-16 unit, and the second one of a surrogate pair. Half of a pair becomes U+FFFD. */
inline bool take_utf16(std::string_view &rest, std::string &text) {
    const auto first = utf16_unit(rest.substr(2));
    if (!first) {
        return false;
    }
    rest.remove_prefix(6);
    std::uint32_t character = *first;
    if (character >= 0xd800 && character < 0xe000) {
        const bool more = character < 0xdc00 && rest.substr(0, 2) == "\\u";
        const auto second = more ? utf16_unit(rest.substr(2)) : std::nullopt;
        if (second && *second >= 0xdc00 && *second < 0xe000) {
            rest.remove_prefix(6);
            character = 0x10000U + ((character - 0xd800U) << 10U) + (*second - 0xdc00U);
        } else {
            character = 0xfffd;
        }
    }
    append_utf8(text, character);
    return true;
}

/** Reads an escape at the beginning of the rest of a string. */
inline bool take_escape(std::string_view &rest, std::string &text) {
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (rest.size() < 2) {
        return false;
    }
    if (rest[1] == 'u') {
        return take_utf16(rest, text);
    }
    const std::size_t letter = letters.find(rest[1]);
    if (letter == std::string_view::npos) {
        return false;
    }
    text += meanings[letter];
    rest.remove_prefix(2);
    return true;
}

/** The text of a string, without quotes and escapes. */
inline std::optional<std::string> string_in(std::string_view json) {
    if (json.size() < 2 || json.front() != '"') {
        return std::nullopt;
    }
    std::string text;
    std::string_view rest = json.substr(1, json.size() - 2);
    for (;;) {
        const std::string_view plain = rest.substr(0, rest.find('\\'));
        text += plain;
        rest.remove_prefix(plain.size());
        if (rest.empty()) {
            return text;
        }
        if (!take_escape(rest, text)) {
            return std::nullopt;
        }
    }
}

/** An integer that fits into a T. */
template <class T>
std::optional<T> integer_in(std::string_view json) noexcept {
    T number = 0;
    const char *const end = json.data() + json.size();
    const auto [stopped, problem] = std::from_chars(json.data(), end, number);
    return problem == std::errc() && stopped == end ? std::optional<T>(number) : std::nullopt;
}

/** Seconds with or without a fraction, rounded down to a millisecond. */
inline std::optional<std::chrono::milliseconds> seconds_in(std::string_view json) noexcept {
    const std::size_t point = json.find('.');
    const auto whole = integer_in<std::uint32_t>(json.substr(0, point));
    if (!whole) {
        return std::nullopt;
    }
    std::chrono::milliseconds time = std::chrono::seconds(*whole);
    if (point != std::string_view::npos) {
        const std::string_view digits = json.substr(point + 1);
        if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
            return std::nullopt;
        }
        std::chrono::milliseconds place(100);
        for (const char digit : digits.substr(0, 3)) {
            time += place * (digit - '0');
            place /= 10;
        }
    }
    return time;
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_JSON_HPP
