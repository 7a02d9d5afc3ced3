/*
 * mde/result.hpp: a value or an error.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_RESULT_HPP
#define MDE_RESULT_HPP

#include "error.hpp"

#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/**
 * A T or an error. std::monostate stands for void.
 *
 * value() returns the T or throws: the exception of a callback if one stopped the call, or else the mde::error. *r, r->x
 * and error() are for use after has_value() or `if (r)`. *r of a failure and error() of a success are mistakes: they
 * throw std::logic_error or, without exceptions, end the program.
 */
template <class T>
class [[nodiscard]] result {
    using held_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

public:
    result(held_type value) : held_(std::move(value)) {}
    result(mde::error problem) : held_(std::move(problem)) {}

    bool has_value() const noexcept { return held_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    held_type &operator*() & { return side<0>(held_); }
    const held_type &operator*() const & { return side<0>(held_); }
    held_type &&operator*() && { return std::move(side<0>(held_)); }
    held_type *operator->() { return &side<0>(held_); }
    const held_type *operator->() const { return &side<0>(held_); }
    const mde::error &error() const { return side<1>(held_); }

#if MDE_HPP_EXCEPTIONS
    const held_type &value() const & {
        throw_if_failed();
        return **this;
    }
    held_type value() && {
        throw_if_failed();
        return *std::move(*this);
    }
#endif

private:
#if MDE_HPP_EXCEPTIONS
    void throw_if_failed() const {
        if (!has_value()) {
            error().cause() ? std::rethrow_exception(error().cause()) : throw error();
        }
    }
#endif

    template <std::size_t Side, class Held>
    static auto &side(Held &held) {
        if (held.index() != Side) {
            detail::misused(Side == 0 ? "mde::result: the value of a call that failed"
                                      : "mde::result: error() of a call that succeeded");
        }
        return *std::get_if<Side>(&held);
    }

    std::variant<held_type, mde::error> held_;
};

}  // inline namespace
}  // namespace mde

#endif  // MDE_RESULT_HPP
