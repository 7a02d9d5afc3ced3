/*
 * mde/document.hpp: JSON documents, read without a JSON library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DOCUMENT_HPP
#define MDE_DOCUMENT_HPP

#include "library.hpp"
#include "string_arg.hpp"
#include "detail/json.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace mde {
inline namespace MDE_HPP_VARIANT {

class document;

namespace detail {

/** A value of a document, and the document that shares its text. */
struct json_value {
    const document &whole;
    std::string_view text;
    /** The value as a document, which shares the text of the whole one. */
    document part() const;
};

}  // namespace detail

/**
 * A JSON document, read without a JSON library. It never changes, so copies share the text and cost nothing. The parts
 * that elements() and structs hold share it as well, and keep the whole text alive.
 *
 * Each get() reads the text from its beginning. For a long document, read it once with as(), or take a part first, as
 * elements() does, and its members out of that.
 */
class document {
public:
    /** An empty text, which has no values. */
    document() noexcept = default;

    /** Any JSON text. It is checked only when it is read; text that is not JSON has no values. */
    explicit document(const string_arg &json) {
        if (!json.is_null() && !json.has_nul()) {
            const auto copy = std::make_shared<const std::string>(json.view());
            owner_ = std::shared_ptr<const char>(copy, copy->c_str());
            text_ = *copy;
        }
    }

    /** Takes over a string that a function of mde.h returned. NULL makes an empty document. */
    static document adopt(char *from_library) {
        document adopted;
        if (from_library != nullptr) {
            adopted.owner_ = std::shared_ptr<const char>(from_library, mde_string_free);
            adopted.text_ = from_library;
        }
        return adopted;
    }

    /** The whole text, for a JSON library or a log. */
    std::string_view text() const noexcept { return text_; }

    /**
     * The value at a JSON pointer (RFC 6901), for example "/action/id"; "" is the document itself.
     *
     * T is std::string (the text of a string without quotes and escapes, the JSON text of any other value), bool, any
     * integer type, std::chrono::milliseconds for the members whose names end in _ms, or document for an object or
     * array. Returns nothing if the value is missing, null, or not a T. The string "12" counts as a number, too. A
     * string that contains U+0000 cannot be read.
     */
    template <class T = std::string>
    std::optional<T> get(const string_arg &pointer = {}) const {
        const document value = find(pointer);
        const std::string_view text = value.text();
        if (!value.owner_) {
            return std::nullopt;
        }
        if constexpr (std::is_same_v<T, std::string>) {
            return std::string(text);
        } else if constexpr (std::is_same_v<T, document>) {
            return !text.empty() && (text[0] == '{' || text[0] == '[') ? std::optional<T>(value) : std::nullopt;
        } else if constexpr (std::is_same_v<T, bool>) {
            return text == "true" || text == "false" ? std::optional<T>(text == "true") : std::nullopt;
        } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
            const auto count = detail::integer_in<std::chrono::milliseconds::rep>(text);
            return count ? std::optional<T>(*count) : std::nullopt;
        } else {
            static_assert(std::is_integral_v<T>,
                          "get<T>: T is std::string, bool, an integer, std::chrono::milliseconds or mde::document");
            return detail::integer_in<T>(text);
        }
    }

    /**
     * The elements of the array at a JSON pointer, each a document of its own; none if there is no array. The time is
     * proportional to the length of the text. get() without a pointer reads an element that is a string or number.
     */
    std::vector<document> elements(const string_arg &pointer = {}) const {
        std::vector<document> found;
        const document array = find(pointer);
        detail::each_element(array.text(), [&](std::string_view element) {
            found.push_back(document(array.owner_, element));
        });
        return found;
    }

    /**
     * The whole document as a struct of mde, such as fetched for the document of client::fetch_package(). The text is
     * read once. A member that is missing or has another type is absent, empty, zero or false, and so is a number
     * that does not fit. A truncated document has no members. Invalid JSON has the members before the mistake.
     */
    template <class T>
    T as() const {
        T to{};
        read(detail::json_value{*this, detail::json_scanner(text_).value()}, to);
        return to;
    }

private:
    friend struct detail::json_value;

    document(std::shared_ptr<const char> owner, std::string_view text) noexcept
        : owner_(std::move(owner)), text_(text) {}

    document find(const string_arg &pointer) const {
        if (text_.empty() || pointer.is_null() || pointer.has_nul() || !detail::abi_fits()) {
            return {};
        }
        // The whole text ends with a NUL. A part of it is followed by another character.
        const bool is_whole = text_.data()[text_.size()] == '\0';
        const std::string part(is_whole ? std::string_view() : text_);
        char *value = nullptr;
        mde_json_get(is_whole ? text_.data() : part.c_str(), std::string(pointer.view()).c_str(), &value);
        return adopt(value);
    }

    std::shared_ptr<const char> owner_{};
    std::string_view text_{};
};

inline document detail::json_value::part() const { return document(whole.owner_, text); }

}  // inline namespace
}  // namespace mde

#endif  // MDE_DOCUMENT_HPP
