/*
 * mde/detail/wipe.hpp: wipes texts that may be secret.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_DETAIL_WIPE_HPP
#define MDE_DETAIL_WIPE_HPP

#include "config.hpp"

#include <cstddef>
#include <string>

namespace mde {
inline namespace MDE_HPP_VARIANT {

namespace detail {

/** Wipes a text. The compiler may not remove it, although the text is not read again. */
inline void wipe(std::string &text) noexcept {
    volatile char *const bytes = text.data();
    for (std::size_t at = 0; at < text.size(); ++at) {
        bytes[at] = '\0';
    }
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_DETAIL_WIPE_HPP
