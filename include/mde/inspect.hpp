/*
 * mde/inspect.hpp: packages on disk.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_INSPECT_HPP
#define MDE_INSPECT_HPP

#include "cancellation.hpp"
#include "package.hpp"
#include "progress.hpp"
#include "detail/call.hpp"

namespace mde {
inline namespace MDE_HPP_VARIANT {

/** Checks a package on disk and lists its entries. Sends and writes nothing. */
inline result<package> inspect_package(const string_arg &path, const progress_fn &progress = nullptr,
                                       const cancellation &cancel = cancellation::never()) {
    return detail::read_from<package>(detail::call(mde_inspect_package, detail::text("path", path),
                                                   detail::function_of(progress), detail::data_of(progress),
                                                   cancel.handle()),
                                      "package");
}

}  // inline namespace
}  // namespace mde

#endif  // MDE_INSPECT_HPP
