/*
 * mde.hpp: mde.h for C++17 and later.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The headers need no build. This one includes all others. Each header of the folder mde has one concept and can be
 * included alone. Every function is inline and calls the C function of the same name. The comment of that function in
 * mde.h describes it, with its quota and permission. C++ adds handles that free themselves, functions as callbacks,
 * std::chrono, structs, and errors that cannot be overlooked.
 *
 *     mde::options options;
 *     options.set("tenant_id", tenant).value();
 *     options.set("client_id", app).value();
 *     options.set("client_secret", secret).value();
 *     mde::client client(options);
 *     mde::fetched fetched = client.fetch_package(machine, "case 4711", "4711.zip").value();
 *     std::cout << fetched.package.sha256 << '\n';
 *
 * Results are structs. Each has a member json: the document that it was read from, unknown members included.
 *
 * Errors are thrown or returned, as the program chooses. Every function that can fail returns a result<T>, which is
 * used like C++23's std::expected. value() returns the T or throws the mde::error. `if (auto r = ...)` does not throw,
 * and *r and r.error() after it do not either. An unused result is a compiler warning. With -fno-exceptions, value()
 * and the throwing constructor of client are missing, and running out of memory ends the program.
 *
 * Strings are anything that converts to a std::string_view. They are copied and need no NUL at the end. A NUL inside
 * is the error status::invalid_argument, and a null pointer is status::null; both messages name the argument. Strings
 * and paths are UTF-8. A std::filesystem::path is converted. The copies are wiped, since some of them are secrets.
 *
 * Times are any std::chrono::duration and are rounded up to whole milliseconds. A time that is too long for the C
 * functions, such as hours::max() or infinity, becomes the longest that they take. NaN counts as negative.
 *
 * Callbacks are std::function. An exception of a callback never crosses the C library. It stops the call, and value()
 * throws it again on the thread that made the call; r.error().cause() has it. r.error() also has the document with
 * all that is known of the action. Exceptions of log callbacks are ignored, since a log line must not fail a call.
 *
 * For threads, stopping, files, secrets and fork, see mde.h. Many threads may call const members at once.
 *
 * Every call first compares the ABI of the library with that of the header, and fails with status::config if they
 * differ.
 */

#ifndef MDE_HPP
#define MDE_HPP
#include "mde/library.hpp"
#include "mde/status.hpp"
#include "mde/string_arg.hpp"
#include "mde/document.hpp"
#include "mde/action.hpp"
#include "mde/package.hpp"
#include "mde/fleet.hpp"
#include "mde/machine.hpp"
#include "mde/quota.hpp"
#include "mde/error.hpp"
#include "mde/access.hpp"
#include "mde/result.hpp"
#include "mde/progress.hpp"
#include "mde/token.hpp"
#include "mde/signer.hpp"
#include "mde/log.hpp"
#include "mde/cancellation.hpp"
#include "mde/options.hpp"
#include "mde/client.hpp"
#include "mde/inspect.hpp"

#endif  // MDE_HPP
