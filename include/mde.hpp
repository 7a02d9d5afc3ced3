/*
 * mde.hpp: mde.h for C++17 and later.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Headers alone, nothing to build: this one includes all, each of the folder mde holds one concept and can be included
 * alone. Every function is inline and calls the C function of the same name. The comment of that function in mde.h
 * says what it does, which quota it spends and which permission it needs. C++ adds handles that free themselves,
 * functions as callbacks, std::chrono, structs, and errors that cannot be overlooked.
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
 * Errors, by choice. Every function that can fail returns a result<T>, which is used like C++23's std::expected.
 * The choice is made where it is used, in one word: value() gives the T or throws the mde::error; `if (auto r = ...)`
 * throws nothing, nor do then *r and, else, r.error(). So there is one set of functions, not two, and a result that
 * nobody looks at is a warning. Compiled with -fno-exceptions the header has all but value() and the
 * constructor of client that throws; memory that cannot be had ends the program then, as always without exceptions.
 *
 * Strings go in as whatever a std::string_view is made of and are copied; they need no NUL at the end. One that has
 * a NUL inside is an error, status::invalid_argument, and never cut short; a null pointer is status::null; both
 * messages name the argument. Strings are UTF-8, paths as well; std::filesystem::path is taken too, and converted.
 * The copies are wiped from memory, since some of them are secrets.
 *
 * Times go in as any std::chrono::duration and are rounded up to whole milliseconds. One that is too long for the C
 * functions, hours::max() or infinity, is the longest that they know; what is not a number counts as negative.
 *
 * Callbacks are std::function. An exception thrown in one never crosses the C library: it is caught, the call is
 * stopped, and value() throws it again on the thread that made the call; r.error().cause() has it. The document of
 * the error, with all that is known of the action, is there at the same time. Log callbacks are the exception to
 * this: what they throw is dropped, since a line that cannot be written is no reason to stop.
 *
 * Threads, stopping, files, secrets, fork: as in mde.h. A const member may be called from many threads at once.
 *
 * Versions. Every call compares the ABI of the library with that of the header first, and fails with
 * status::config when they differ.
 */

#ifndef MDE_HPP
#define MDE_HPP
#include "mde/library.hpp"
#include "mde/status.hpp"
#include "mde/string_arg.hpp"
#include "mde/document.hpp"
#include "mde/action.hpp"
#include "mde/package.hpp"
#include "mde/machine.hpp"
#include "mde/quota.hpp"
#include "mde/error.hpp"
#include "mde/result.hpp"
#include "mde/progress.hpp"
#include "mde/token.hpp"
#include "mde/log.hpp"
#include "mde/cancellation.hpp"
#include "mde/options.hpp"
#include "mde/client.hpp"
#include "mde/inspect.hpp"

#endif  // MDE_HPP
