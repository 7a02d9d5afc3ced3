/*
 * mde/library.hpp: version and ABI of the library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_LIBRARY_HPP
#define MDE_LIBRARY_HPP

#include "detail/config.hpp"

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string_view>

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** The version of the library, for example "0.1.0". The header's own is MDE_HEADER_VERSION. */
inline std::string_view version() noexcept { return mde_version(); }

/** The ABI of the library. The header's own is MDE_HEADER_ABI_VERSION. */
inline std::uint32_t abi_version() noexcept { return mde_abi_version(); }

namespace detail {

/** Only the two functions above may be called of a library with another ABI. */
inline bool abi_fits() noexcept { return mde_abi_version() == MDE_HEADER_ABI_VERSION; }

/** Reports a mistake in the program, which is no failure of a call. */
[[noreturn]] inline void misused([[maybe_unused]] const char *how) {
#if MDE_HPP_EXCEPTIONS
    throw std::logic_error(how);
#else
    std::terminate();
#endif
}

}  // namespace detail

}  // inline namespace
}  // namespace mde

#endif  // MDE_LIBRARY_HPP
