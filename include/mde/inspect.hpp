/*
 * mde/inspect.hpp: what is on disk: a package, or the job of a folder.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef MDE_INSPECT_HPP
#define MDE_INSPECT_HPP

#include "cancellation.hpp"
#include "fleet.hpp"
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

/** Returns how the job of client::fetch_packages() in a folder stands, also while a call works on it. Sends nothing. */
inline result<fetched_packages> read_packages(const string_arg &folder) {
    return detail::read_from<fetched_packages>(detail::call(mde_read_packages, detail::text("folder", folder)));
}

}  // inline namespace
}  // namespace mde

#endif  // MDE_INSPECT_HPP
