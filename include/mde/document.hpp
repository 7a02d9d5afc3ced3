/*
 * mde/document.hpp: JSON documents, read without a JSON library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DOCUMENT_HPP
#define MDE_DOCUMENT_HPP

#include "library.hpp"
#include "string_arg.hpp"

#include <charconv>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/**
 * A JSON document, read without a JSON library. It never changes, so copies share the text and cost nothing.
 *
 * Each get() reads the text once more from its beginning: of a long document take a part first, and its
 * members out of that, as elements() does.
 */
class document {
public:
    /** No document: an empty text, in which nothing is found. */
    document() noexcept = default;

    /** Any JSON text. It is looked at when it is read; what is not JSON has no values. */
    explicit document(const string_arg &json) {
        if (!json.is_null() && !json.has_nul()) {
            auto copy = std::make_shared<const std::string>(json.view());
            text_ = std::shared_ptr<const char>(copy, copy->c_str());
        }
    }

    /** Takes over a string that a function of mde.h gave out; NULL makes no document. */
    static document adopt(char *from_library) {
        document adopted;
        if (from_library != nullptr) {
            adopted.text_ = std::shared_ptr<const char>(from_library, mde_string_free);
        }
        return adopted;
    }

    /** The whole text, for a JSON library or a log; ends with a NUL that is not counted. */
    std::string_view text() const noexcept { return text_ ? text_.get() : ""; }

    /**
     * The value at a JSON pointer (RFC 6901), for example "/action/id"; "" is the document itself.
     *
     * T: std::string (the text of a string without quotes and escapes, the JSON text of anything else); bool; any
     * integer type; std::chrono::milliseconds, for the members whose names end in _ms; or document, for an object or
     * array. Nothing if there is no such value, it is null, or not a T. (JSON's types are not kept apart further: the
     * string "12" is a number, too. A string with U+0000 in it cannot be had.)
     */
    template <class T = std::string>
    std::optional<T> get(const string_arg &pointer = {}) const {
        const document value = find(pointer);
        const std::string_view text = value.text();
        if (!value.text_) {
            return std::nullopt;
        }
        if constexpr (std::is_same_v<T, std::string>) {
            return std::string(text);
        } else if constexpr (std::is_same_v<T, document>) {
            return !text.empty() && (text[0] == '{' || text[0] == '[') ? std::optional<T>(value) : std::nullopt;
        } else if constexpr (std::is_same_v<T, bool>) {
            return text == "true" || text == "false" ? std::optional<T>(text == "true") : std::nullopt;
        } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
            const auto count = integer<std::chrono::milliseconds::rep>(text);
            return count ? std::optional<T>(*count) : std::nullopt;
        } else {
            static_assert(std::is_integral_v<T>,
                          "get<T>: T is std::string, bool, an integer, std::chrono::milliseconds or mde::document");
            return integer<T>(text);
        }
    }

    /**
     * The elements of the array at a JSON pointer, each a document of its own; none if there is no array. Takes time
     * in proportion to the text, however many they are. Of strings and numbers, get() without a pointer is the value.
     */
    std::vector<document> elements(const string_arg &pointer = {}) const {
        std::vector<document> found;
        const document array = find(pointer);
        const std::string_view text = array.text();
        if (text.empty() || text[0] != '[') {
            return found;
        }
        // It is known to be JSON, so the commas outside of strings and brackets are all that matters.
        std::size_t start = 1;
        std::size_t depth = 0;
        bool in_string = false;
        for (std::size_t at = 1; at < text.size(); ++at) {
            const char c = text[at];
            if (in_string) {
                at += c == '\\' ? 1U : 0U;
                in_string = c != '"';
            } else if (c == '"') {
                in_string = true;
            } else if (depth == 0 && (c == ',' || c == ']')) {
                const std::string_view element = text.substr(start, at - start);
                if (element.find_first_not_of(" \t\r\n") != std::string_view::npos) {
                    found.emplace_back(element);
                }
                start = at + 1;
            } else if (c == '[' || c == '{') {
                ++depth;
            } else if (c == ']' || c == '}') {
                --depth;
            }
        }
        return found;
    }

private:
    document find(const string_arg &pointer) const {
        char *value = nullptr;
        if (text_ && !pointer.is_null() && !pointer.has_nul() && detail::abi_fits()) {
            mde_json_get(text_.get(), std::string(pointer.view()).c_str(), &value);
        }
        return adopt(value);
    }

    template <class T>
    static std::optional<T> integer(std::string_view text) noexcept {
        T number = 0;
        const char *const end = text.data() + text.size();
        const auto [stopped, problem] = std::from_chars(text.data(), end, number);
        return problem == std::errc() && stopped == end ? std::optional<T>(number) : std::nullopt;
    }

    std::shared_ptr<const char> text_;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_DOCUMENT_HPP
