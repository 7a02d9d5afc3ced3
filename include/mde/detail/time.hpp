/*
 * mde/detail/time.hpp: times in milliseconds, for the C library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_TIME_HPP
#define MDE_DETAIL_TIME_HPP

#include "config.hpp"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <ratio>
#include <type_traits>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

/**
 * Whole milliseconds, rounded up and limited to between `least` and the largest value of their type. The conversions
 * of std::chrono would overflow. NaN becomes `least`.
 */
template <class Rep, class Period>
std::int64_t to_ms(std::chrono::duration<Rep, Period> time, std::int64_t least) {
    // Uses the precision of the time: a binary tenth of a second is a little more than 100 ms.
    using Exact = std::conditional_t<std::is_floating_point_v<Rep>, Rep, long double>;
    const std::chrono::duration<Exact, std::milli> exact = time;
    const Exact ms = std::ceil(exact.count());
    if (!(ms > static_cast<Exact>(least))) {
        return least;
    }
    // One more than the largest value.
    constexpr Exact too_long = static_cast<Exact>(UINT64_C(1) << 63U);
    return ms < too_long ? static_cast<std::int64_t>(ms) : INT64_MAX;
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_TIME_HPP
