/*
 * mde/detail/call.hpp: calls of C functions.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_CALL_HPP
#define MDE_DETAIL_CALL_HPP

#include "../result.hpp"
#include "../string_arg.hpp"
#include "frame.hpp"
#include "read.hpp"
#include "wipe.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

/** A string argument for C, with its name. */
class text {
public:
    text(const char *argument, const string_arg &given)
        : name(argument), is_cut(given.has_nul()), is_null_(given.is_null()), value_(given.view()) {}
    text(const text &) = delete;
    text &operator=(const text &) = delete;
    ~text() { wipe(value_); }

    /** NULL is passed on: the C function reports it. */
    const char *c_str() const noexcept { return is_null_ ? nullptr : value_.c_str(); }

    const char *const name;
    const bool is_cut;

private:
    const bool is_null_;
    std::string value_;
};

inline error other_abi() {
    return error(status::config, "libmde " + std::string(version()) + " has ABI " + std::to_string(abi_version()) +
                                     ", but this program was built for ABI " + std::to_string(MDE_HEADER_ABI_VERSION));
}

inline const char *to_c(const text &argument) noexcept { return argument.c_str(); }
template <class Other>
Other to_c(const Other &argument) noexcept { return argument; }

/** The name of a string that contains a NUL; NULL for any other argument. */
inline const char *cut_name(const text &argument) noexcept { return argument.is_cut ? argument.name : nullptr; }
template <class Other>
const char *cut_name(const Other &) noexcept { return nullptr; }

/** Calls a C function with these arguments, followed by `out_json`. */
template <class Function, class... Arguments>
result<document> call(Function *function, const Arguments &...arguments) {
    if (!abi_fits()) {
        return other_abi();
    }
    const char *cut = nullptr;
    ((cut = cut != nullptr ? cut : cut_name(arguments)), ...);
    if (cut != nullptr) {
        return error(status::invalid_argument, std::string(cut) + " has a NUL (U+0000) inside");
    }
    frame thrown;
    char *json = nullptr;
    const auto code = static_cast<status>(function(to_c(arguments)..., &json));
    document answer = document::adopt(json);
    if (code == status::ok) {
        return answer;
    }
    return error(code, std::move(answer), code == status::token ? thrown.from_provider : thrown.from_progress);
}

/** Returns the result of functions whose document, or one member of it, is a T. */
template <class T>
result<T> read_from(const result<document> &answer, std::string_view member = {}) {
    if (!answer) {
        return answer.error();
    }
    T to{};
    if (member.empty()) {
        read(json_value{*answer, answer->text()}, to);
    } else {
        each_member(answer->text(), [&](std::string_view name, std::string_view value) {
            if (name.substr(1, name.size() - 2) == member) {
                read(json_value{*answer, value}, to);
            }
        });
    }
    return to;
}

/** Returns the result of functions that have a document only on failure. */
inline result<void> done(const result<document> &answer) {
    return answer ? result<void>(std::monostate()) : answer.error();
}

/** Returns the result of functions that have no document. */
inline result<void> done(std::int32_t code, const char *otherwise) {
    return code == MDE_OK ? result<void>(std::monostate()) : error(static_cast<status>(code), otherwise);
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_CALL_HPP
