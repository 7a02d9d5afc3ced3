/*
 * mde/detail/time.hpp: times, as the C library takes them.
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
 * Whole milliseconds, rounded up and kept between `least` and the most that their type holds; std::chrono's own
 * conversions overflow. What is not a number is `least`.
 */
template <class Rep, class Period>
std::int64_t to_ms(std::chrono::duration<Rep, Period> time, std::int64_t least) {
    // As exact as the time is: a tenth of a second in binary is a little more than that.
    using Exact = std::conditional_t<std::is_floating_point_v<Rep>, Rep, long double>;
    const std::chrono::duration<Exact, std::milli> exact = time;
    const Exact ms = std::ceil(exact.count());
    if (!(ms > static_cast<Exact>(least))) {
        return least;
    }
    // One more than the most.
    constexpr Exact too_long = static_cast<Exact>(UINT64_C(1) << 63U);
    return ms < too_long ? static_cast<std::int64_t>(ms) : INT64_MAX;
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_TIME_HPP
